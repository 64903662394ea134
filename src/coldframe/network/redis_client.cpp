#include <coldframe/network/redis_client.hpp>

#include <coldframe/network/pause.hpp>
#include <coldframe/util/try.hpp>

#include <hiredis/hiredis.h>

#include <array>
#include <memory>

namespace coldframe::remote {
namespace {

constexpr std::size_t k_buffer_size = std::size_t{64} << 10;
constexpr std::uint64_t k_longest_greeting = 4096;  // of what answers AUTH and SELECT

bool is_answer(ErrorCode code) {
    return code == ErrorCode::untrusted || code == ErrorCode::unsupported || code == ErrorCode::no_space;
}

}  // namespace

Result<RedisReply> RedisClient::exchange(const std::vector<std::string_view>& command, const Bounds& bounds,
                                         const Limits& limits) {
    std::vector<const char*> arguments;
    std::vector<std::size_t> sizes;
    for (const std::string_view argument : command) {
        arguments.push_back(argument.data());
        sizes.push_back(argument.size());
    }
    char* formatted = nullptr;
    const auto size = redisFormatCommandArgv(&formatted, static_cast<int>(command.size()), arguments.data(), sizes.data());
    if (size < 0) return fail(ErrorCode::io, "not enough memory for a command");
    const std::unique_ptr<char, void (*)(char*)> owned(formatted, redisFreeCommand);
    Watch watch(limits, std::chrono::steady_clock::now());
    const ByteView bytes(reinterpret_cast<const std::uint8_t*>(formatted), static_cast<std::size_t>(size));
    COLDFRAME_TRY(stream_->send(bytes, watch));

    ReplyReader reader(place_.authority, bounds);
    std::array<std::uint8_t, k_buffer_size> buffer;
    while (true) {
        COLDFRAME_TRY_ASSIGN(const std::size_t count, stream_->receive(buffer, watch));
        COLDFRAME_TRY_ASSIGN(std::optional<RedisReply> reply, reader.feed(ByteView(buffer).first(count)));
        if (reply) return std::move(*reply);
    }
}

Status RedisClient::connect(const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(Stream stream, Stream::open(place_.authority, place_.tls, limits));
    stream_ = std::move(stream);
    std::vector<std::vector<std::string_view>> greetings;
    if (!place_.password.empty() && place_.user.empty()) greetings.push_back({"AUTH", place_.password});
    if (!place_.password.empty() && !place_.user.empty()) greetings.push_back({"AUTH", place_.user, place_.password});
    if (!place_.database.empty()) greetings.push_back({"SELECT", place_.database});
    for (const auto& greeting : greetings) {
        if (const auto reply = exchange(greeting, {.size = k_longest_greeting}, limits); !reply)
            return std::unexpected(reply.error());
    }
    return {};
}

Result<RedisReply> RedisClient::call(const std::vector<std::string_view>& command, const Bounds& bounds, const Limits& limits) {
    // All attempts share one patience.
    Limits rest = limits;
    const auto once = [&] -> Result<RedisReply> {
        if (!stream_) {
            if (Status connected = connect(rest); !connected) {
                stream_.reset();
                return std::unexpected(std::move(connected.error()));
            }
        }
        Result<RedisReply> reply = exchange(command, bounds, rest);
        // An answer that comes later must not be taken for that of another call.
        if (!reply && !is_answer(reply.error().code)) stream_.reset();
        return reply;
    };
    const SteadyTime begin = std::chrono::steady_clock::now();
    const bool reused = stream_.has_value();
    Result<RedisReply> reply = once();
    for (int attempt = reused ? 0 : 1; attempt < limits.attempts; ++attempt) {
        const auto spent = std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - begin);
        rest.patience = limits.patience - std::min(limits.patience, spent);
        const bool in_time = rest.patience > limits.pause && !limits.hurried();
        if (reply || reply.error().code != ErrorCode::io || !in_time) break;
        pause_before_retry(rest);
        reply = once();
    }
    return reply;
}

}  // namespace coldframe::remote
