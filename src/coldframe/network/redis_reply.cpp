#include <coldframe/network/redis_reply.hpp>

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace coldframe::remote {
namespace {

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

struct ReplyReader::State {
    State(std::string name, const Bounds& most)
        : authority(std::move(name)), bounds(most), array{most.items, nullptr}, first(most.size) {
        if (reader == nullptr) return;
        functions = *reader->fn;
        array.create = functions.createArray;
        functions.createArray = create_array;
        reader->fn = &functions;
        reader->privdata = &array;
    }

    std::string authority;
    Bounds bounds;
    redisReplyObjectFunctions functions{};  // these two must outlive the reader
    Array array;
    std::unique_ptr<redisReader, ReaderDeleter> reader{redisReaderCreate()};
    FirstLine first;
    std::uint64_t received = 0;
};

ReplyReader::ReplyReader(std::string authority, const Bounds& bounds)
    : state_(std::make_unique<State>(std::move(authority), bounds)) {}

ReplyReader::~ReplyReader() = default;

Result<std::optional<RedisReply>> ReplyReader::feed(ByteView bytes) {
    const std::string& authority = state_->authority;
    redisReader* reader = state_->reader.get();
    if (reader == nullptr) return fail(ErrorCode::io, "not enough memory for a reply");
    state_->received += bytes.size();
    if (!state_->first.accept(bytes) || state_->received > state_->bounds.size + k_reply_overhead) {
        return fail(ErrorCode::corrupt, authority + " sent more bytes than there may be");
    }
    void* raw = nullptr;
    const bool fed = redisReaderFeed(reader, reinterpret_cast<const char*>(bytes.data()), bytes.size()) == REDIS_OK;
    if (!fed || redisReaderGetReply(reader, &raw) != REDIS_OK) {
        return fail(ErrorCode::corrupt, authority + " does not speak Redis's protocol");
    }
    if (raw == nullptr) return std::nullopt;
    const Reply reply(static_cast<redisReply*>(raw));
    if (reader->pos != reader->len) return fail(ErrorCode::corrupt, authority + " sent more than one reply");
    return convert(*reply, authority);
}

}  // namespace coldframe::remote
