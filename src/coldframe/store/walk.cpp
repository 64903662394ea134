#include <coldframe/store/walk.hpp>

#include <coldframe/archive/detached.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>
#include <cstring>

namespace coldframe::store {
namespace {

constexpr std::size_t k_usual_table_end = 4096;

Error misplaced(const Directory& in, const std::string& name) {
    return {ErrorCode::corrupt, "'" + in.path_of(name) + "' is nothing that belongs into a store", {}};
}

bool is_absent(const Error& error) { return error.code == ErrorCode::not_found; }

}  // namespace

std::size_t DigestHash::operator()(const Digest& digest) const {
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
}

void Walk::stranger(const Directory& in, const std::string& name, const Error& error) const {
    if (on_stranger) on_stranger(in, name, error);
}

template <typename Function>
Status Walk::each_directory(const Directory& in, Function&& visit) {
    COLDFRAME_TRY_ASSIGN(const std::vector<std::string> names, in.names());
    for (const std::string& name : names) {
        const Result<Directory> directory = tree_.enter(in, name);
        if (directory) {
            if (Status visited = visit(*directory, name); !visited && !is_absent(visited.error())) return visited;
        } else if (directory.error().code == ErrorCode::untrusted) {
            stranger(in, name, directory.error());
        } else if (!is_absent(directory.error())) {
            return std::unexpected(directory.error());
        }
    }
    return {};
}

Status Walk::run_objects(const Directory& shard, const std::string& prefix) {
    COLDFRAME_TRY_ASSIGN(const std::vector<std::string> names, shard.names());
    for (const std::string& name : names) {
        const std::optional<Digest> object = digest_from_hex(name);
        if (!object || !name.starts_with(prefix)) {
            stranger(shard, name, misplaced(shard, name));
        } else if (on_object) {
            on_object(shard, *object);
        }
    }
    return {};
}

Status Walk::run_manifests(const Directory& directory, const Digest& key) {
    COLDFRAME_TRY_ASSIGN(const std::vector<std::string> names, directory.names());
    for (const std::string& name : names) {
        const std::optional<Digest> id = parse_manifest_name(name);
        if (!id) {
            stranger(directory, name, misplaced(directory, name));
        } else if (on_manifest) {
            on_manifest(directory, key, *id);
        }
    }
    return {};
}

Status Walk::run_keys(const Directory& shard, const std::string& prefix) {
    return each_directory(shard, [&](const Directory& directory, const std::string& name) -> Status {
        const std::optional<Digest> key = digest_from_hex(name);
        if (key && name.starts_with(prefix)) return run_manifests(directory, *key);
        stranger(shard, name, misplaced(shard, name));
        return {};
    });
}

Status Walk::run() {
    for (const char* folder : {k_manifests, k_objects}) {
        const Result<Directory> top = tree_.folder(folder);
        if (!top && is_absent(top.error())) continue;
        if (!top) return std::unexpected(top.error());
        Status walked = each_directory(*top, [&](const Directory& shard, const std::string& name) {
            return folder == k_objects ? run_objects(shard, name) : run_keys(shard, name);
        });
        if (!walked) return walked;
    }
    return {};
}

Result<std::vector<archive::Entry>> read_entries(const InputFile& manifest) {
    const std::uint64_t size = manifest.info().size;
    std::size_t length = k_usual_table_end;
    for (;;) {
        Bytes start(static_cast<std::size_t>(std::min<std::uint64_t>(size, length)));
        COLDFRAME_TRY(manifest.read_at(0, start));
        COLDFRAME_TRY_ASSIGN(archive::EntryTable table, archive::decode_entries(start, size));
        if (table.missing == 0) return std::move(table.entries);
        length = table.missing;
    }
}

}  // namespace coldframe::store
