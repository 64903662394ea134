#include <coldframe/network/redis_leases.hpp>

#include <coldframe/util/try.hpp>

#include <charconv>

namespace coldframe::remote {
namespace {

constexpr Bounds k_small{.size = 4096, .items = 2};

// Of each: KEYS[1] is the lease, ARGV[1] the token, ARGV[2] the time in milliseconds.
constexpr std::string_view k_take = R"(
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return {redis.call('GET', KEYS[1]), tostring(redis.call('PTTL', KEYS[1]))})";

constexpr std::string_view k_renew = R"(
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2]))";

constexpr std::string_view k_give_back = R"(
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1]))";

}  // namespace

Result<RedisReply> RedisLeases::run(std::string_view script, const std::string& token, milliseconds time,
                                    const Limits& limits) {
    const std::string expires = std::to_string(std::max<milliseconds::rep>(time.count(), 1));
    return client_.call({"EVAL", script, "1", lease_, token, expires}, k_small, limits);
}

Result<LeaseState> RedisLeases::take(const std::string& token, milliseconds time, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto reply, run(k_take, token, time, limits));
    if (reply.list.size() != 2) return fail(ErrorCode::corrupt, "the server says nothing of the lease");
    const std::string& left = reply.list[1];
    milliseconds::rep count = 0;
    std::from_chars(left.data(), left.data() + left.size(), count);
    return LeaseState{reply.list[0], milliseconds(count)};
}

Result<bool> RedisLeases::renew(const std::string& token, milliseconds time, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto reply, run(k_renew, token, time, limits));
    return reply.number == 1;
}

Status RedisLeases::give_back(const std::string& token, const Limits& limits) {
    const auto reply = run(k_give_back, token, milliseconds(1), limits);
    return reply ? Status{} : std::unexpected(reply.error());
}

Result<std::vector<Digest>> RedisLeases::variants(const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto fields, client_.call({"HKEYS", hash_}, k_hash_fields, limits));
    std::vector<Digest> ids;
    for (const std::string& field : fields.list) {
        if (const auto id = digest_from_hex(field)) ids.push_back(*id);
    }
    return ids;
}

}  // namespace coldframe::remote
