#include <coldframe/network/redis_remote.hpp>

#include <coldframe/network/redis_leases.hpp>
#include <coldframe/store/layout.hpp>
#include <coldframe/util/try.hpp>

namespace coldframe::remote {
namespace {

constexpr Bounds k_small{.size = 4096};
constexpr Bounds k_manifest{.size = store::k_max_manifest_size};
constexpr std::int64_t k_refresh_after = 3600;  // seconds

std::string chunk_name(const Digest& object, std::uint64_t number) {
    return "coldframe:1:o:" + to_hex(object) + ":" + std::to_string(number);
}

std::string hash_name(const Digest& key) { return "coldframe:1:a:" + to_hex(key); }

std::string lease_name(const Digest& key) { return "coldframe:1:l:" + to_hex(key); }

std::string_view text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

std::uint64_t RedisRemote::chunk_count(std::uint64_t size) const {
    return std::max<std::uint64_t>(1, (size + options_.chunk_size - 1) / options_.chunk_size);
}

Result<Record> RedisRemote::get_record(const Digest& key, const Limits& limits) {
    const std::string hash = hash_name(key);
    COLDFRAME_TRY_ASSIGN(const auto fields, client_.call({"HKEYS", hash}, k_hash_fields, limits));
    Record record;
    manifests_.clear();
    for (const std::string& field : fields.list) {
        const auto id = digest_from_hex(field);
        if (!id || record.variants.size() == k_max_variants) continue;
        COLDFRAME_TRY_ASSIGN(auto reply, client_.call({"HGET", hash, field}, k_manifest, limits));
        if (!reply.has_value) continue;
        record.variants.push_back({{*id, reply.bytes.size()}, {}});
        manifests_[*id] = std::move(reply.bytes);
    }
    return record;
}

Result<Bytes> RedisRemote::get_manifest(const Digest& key, const Blob& manifest, const Limits& limits) {
    if (auto known = manifests_.extract(manifest.digest)) return std::move(known.mapped());
    const std::string hash = hash_name(key);
    COLDFRAME_TRY_ASSIGN(auto reply, client_.call({"HGET", hash, to_hex(manifest.digest)}, k_manifest, limits));
    if (!reply.has_value) return fail(ErrorCode::not_found, "the remote has this variant no more");
    return std::move(reply.bytes);
}

Result<Bytes> RedisRemote::get_object(const Blob& object, const Limits& limits) {
    Bytes bytes;
    for (std::uint64_t i = 0; i < chunk_count(object.size); ++i) {
        COLDFRAME_TRY_ASSIGN(auto reply,
                             client_.call({"GET", chunk_name(object.digest, i)}, {.size = options_.chunk_size}, limits));
        if (!reply.has_value) {
            return fail(ErrorCode::not_found, "the remote lacks a part of the object " + to_hex(object.digest));
        }
        bytes.insert(bytes.end(), reply.bytes.begin(), reply.bytes.end());
    }
    return bytes;
}

Result<bool> RedisRemote::has_object(const Blob& object, const Limits& limits) {
    std::uint64_t size = 0;
    for (std::uint64_t i = 0; i < chunk_count(object.size); ++i) {
        COLDFRAME_TRY_ASSIGN(const auto reply, client_.call({"STRLEN", chunk_name(object.digest, i)}, k_small, limits));
        size += static_cast<std::uint64_t>(std::max<std::int64_t>(reply.number, 0));
    }
    return size == object.size && size != 0;
}

Status RedisRemote::put_object(const Blob& object, ByteView bytes, Overwrite, const Limits& limits) {
    for (std::uint64_t i = 0; i < chunk_count(object.size); ++i) {
        const std::size_t begin = static_cast<std::size_t>(i * options_.chunk_size);
        const ByteView chunk =
            bytes.subspan(begin, std::min<std::size_t>(static_cast<std::size_t>(options_.chunk_size), bytes.size() - begin));
        COLDFRAME_TRY_ASSIGN(const auto reply,
                             client_.call({"SET", chunk_name(object.digest, i), text(chunk), "EX", expire_}, k_small, limits));
    }
    return {};
}

Status RedisRemote::make_room(const std::string& hash, const std::string& id, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto fields, client_.call({"HKEYS", hash}, k_hash_fields, limits));
    if (fields.list.size() < k_max_variants || std::ranges::find(fields.list, id) != fields.list.end()) return {};
    const auto reply = client_.call({"HDEL", hash, fields.list.front()}, k_small, limits);
    return reply ? Status{} : std::unexpected(reply.error());
}

Status RedisRemote::put_manifest(const Digest& key, const Listed& variant, ByteView bytes, Overwrite, const Limits& limits) {
    const std::string hash = hash_name(key);
    const std::string id = to_hex(variant.manifest.digest);
    if (Status room = make_room(hash, id, limits); !room) return room;
    if (const auto reply = client_.call({"HSET", hash, id, text(bytes)}, k_small, limits); !reply) {
        return std::unexpected(reply.error());
    }
    return expire(hash, limits);
}

Status RedisRemote::expire(const std::string& name, const Limits& limits) {
    const auto reply = client_.call({"EXPIRE", name, expire_}, k_small, limits);
    return reply ? Status{} : std::unexpected(reply.error());
}

Status RedisRemote::keep(const Digest& key, const Listed& variant, const Limits& limits) {
    const std::string hash = hash_name(key);
    COLDFRAME_TRY_ASSIGN(const auto left, client_.call({"TTL", hash}, k_small, limits));
    if (left.number > static_cast<std::int64_t>(options_.expire_seconds) - k_refresh_after) return {};
    for (const Blob& object : variant.objects) {
        for (std::uint64_t i = 0; i < chunk_count(object.size); ++i) {
            if (Status kept = expire(chunk_name(object.digest, i), limits); !kept) return kept;
        }
    }
    return expire(hash, limits);
}

// By a connection of its own, which the lease needs for as long as it is held.
store::Joined RedisRemote::join(const Digest& key, const RemoteJoin& how) {
    return join_by_lease(std::make_unique<RedisLeases>(place_, hash_name(key), lease_name(key)), how);
}

}  // namespace coldframe::remote
