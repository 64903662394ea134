#include <coldframe/network/redis_client.hpp>

#include <coldframe/network/pause.hpp>

#include <hiredis/hiredis.h>

#include <array>
#include <charconv>

namespace coldframe::remote {
namespace {

constexpr std::size_t k_buffer_size = std::size_t{64} << 10;
constexpr std::uint64_t k_reply_overhead = 64;  // around a string of the largest size
constexpr std::size_t k_longest_line = 4096;    // of a number, a status or an error

struct ReaderDeleter {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
struct ReplyDeleter {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, ReplyDeleter>;

// hiredis makes room for as many items as a reply announces, before it has seen one of them.
struct Array {
    std::size_t max_items;
    decltype(redisReplyObjectFunctions::createArray) create;
};

template <typename Count>  // which differs between versions of hiredis
void* create_array(const redisReadTask* task, Count items) {
    const auto& array = *static_cast<const Array*>(task->privdata);
    const bool fits = task->parent == nullptr && static_cast<std::size_t>(items) <= array.max_items;
    return fits ? array.create(task, items) : nullptr;
}

// The first line of a reply, which says how large the rest is.
class FirstLine {
   public:
    explicit FirstLine(std::uint64_t max_size) : max_size_(max_size) {}

    // Whether what the server has sent so far may be the beginning of a reply.
    bool accept(ByteView bytes) {
        if (is_whole_) return true;
        const std::size_t size = std::min(bytes.size(), k_longest_line + 1 - line_.size());
        line_.append(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        const std::size_t end = line_.find('\n');
        is_whole_ = end != std::string::npos;
        if (!is_whole_ && line_.size() > k_longest_line) return false;
        if (!is_whole_ || line_.front() != '$') return std::string_view("$*+-:").contains(line_.front());
        std::uint64_t announced = 0;
        const auto [_, error] = std::from_chars(line_.data() + 1, line_.data() + end, announced);
        return line_.starts_with("$-1\r") || (error == std::errc() && announced <= max_size_);
    }

   private:
    std::uint64_t max_size_;
    std::string line_;
    bool is_whole_ = false;
};

std::string_view text_of(const redisReply& reply) { return {reply.str, reply.len}; }

// Whatever the server says is not repeated: it may quote what was sent.
std::unexpected<Error> refused(std::string_view message, const std::string& authority) {
    const std::string word(message.substr(0, message.find(' ')));
    const std::string text = authority + " refuses: " + (word.size() <= 16 ? word : "an error");
    const bool in_script = message.contains("can't run this command");  // what NOPERM is there
    if (word == "NOAUTH" || word == "WRONGPASS" || word == "NOPERM" || word == "READONLY" || in_script) {
        return fail(ErrorCode::untrusted, text);
    }
    if (message.starts_with("ERR unknown command")) return fail(ErrorCode::unsupported, text);
    return fail(word == "OOM" ? ErrorCode::no_space : ErrorCode::io, text);
}

bool is_answer(ErrorCode code) {
    return code == ErrorCode::untrusted || code == ErrorCode::unsupported || code == ErrorCode::no_space;
}

Result<RedisReply> convert(const redisReply& reply, const std::string& authority) {
    RedisReply converted;
    switch (reply.type) {
        case REDIS_REPLY_NIL: return converted;
        case REDIS_REPLY_ERROR: return refused(text_of(reply), authority);
        case REDIS_REPLY_INTEGER: converted.number = reply.integer; break;
        case REDIS_REPLY_ARRAY:
            for (std::size_t i = 0; i < reply.elements; ++i) {
                const redisReply& element = *reply.element[i];
                if (element.type != REDIS_REPLY_STRING) return fail(ErrorCode::corrupt, authority + " sent an odd reply");
                converted.list.emplace_back(text_of(element));
            }
            break;
        default: converted.bytes.assign(reply.str, reply.str + reply.len);
    }
    converted.has_value = true;
    return converted;
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
    if (Status sent = stream_->send(bytes, watch); !sent) return std::unexpected(std::move(sent.error()));

    redisReplyObjectFunctions functions{};  // these two must outlive the reader
    Array array{bounds.items, nullptr};
    const std::unique_ptr<redisReader, ReaderDeleter> reader(redisReaderCreate());
    if (reader == nullptr) return fail(ErrorCode::io, "not enough memory for a reply");
    functions = *reader->fn;
    array.create = functions.createArray;
    functions.createArray = create_array;
    reader->fn = &functions;
    reader->privdata = &array;
    FirstLine first(bounds.size);
    std::array<std::uint8_t, k_buffer_size> buffer;
    std::uint64_t received = 0;
    while (true) {
        const Result<std::size_t> count = stream_->receive(buffer, watch);
        if (!count) return std::unexpected(count.error());
        received += *count;
        const bool announced = first.accept(ByteView(buffer).first(*count));
        if (!announced || received > bounds.size + k_reply_overhead) {
            return fail(ErrorCode::corrupt, place_.authority + " sent more bytes than there may be");
        }
        void* raw = nullptr;
        const bool fed = redisReaderFeed(reader.get(), reinterpret_cast<const char*>(buffer.data()), *count) == REDIS_OK;
        if (!fed || redisReaderGetReply(reader.get(), &raw) != REDIS_OK) {
            return fail(ErrorCode::corrupt, place_.authority + " does not speak Redis's protocol");
        }
        if (raw == nullptr) continue;
        const Reply reply(static_cast<redisReply*>(raw));
        if (reader->pos != reader->len) return fail(ErrorCode::corrupt, place_.authority + " sent more than one reply");
        return convert(*reply, place_.authority);
    }
}

Status RedisClient::connect(const Limits& limits) {
    Result<Stream> stream = Stream::open(place_.authority, place_.tls, limits);
    if (!stream) return std::unexpected(std::move(stream.error()));
    stream_ = std::move(*stream);
    std::vector<std::vector<std::string_view>> greetings;
    if (!place_.password.empty() && place_.user.empty()) greetings.push_back({"AUTH", place_.password});
    if (!place_.password.empty() && !place_.user.empty()) greetings.push_back({"AUTH", place_.user, place_.password});
    if (!place_.database.empty()) greetings.push_back({"SELECT", place_.database});
    for (const auto& greeting : greetings) {
        if (const auto reply = exchange(greeting, {.size = k_longest_line}, limits); !reply)
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
