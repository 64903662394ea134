// The reply of a Redis server, as its bytes come in. hiredis reads the protocol; what it makes room for is bounded.
//
//   ReplyReader reader("localhost:6379", {.size = 4096});
//   Result<std::optional<RedisReply>> reply = reader.feed(bytes);      // nothing: it is not complete yet
//
// Thread-safety: one object serves one thread. Failure: corrupt for what is no reply, or more than the bounds allow or
// announced to be; for the errors of a server what redis_client.hpp says. After a reply or a failure the reader is of no more
// use.
#pragma once

#include <coldframe/util/bytes.hpp>
#include <coldframe/util/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coldframe::remote {

struct RedisReply {
    bool has_value = false;         // else nil
    std::int64_t number = 0;        // of an integer
    Bytes bytes;                    // of a string
    std::vector<std::string> list;  // of an array of strings
};

// What the answer to a command may be at most.
struct Bounds {
    std::uint64_t size = 0;  // in bytes
    std::size_t items = 0;   // of an array
};

class ReplyReader {
   public:
    // `authority`: what errors call the server.
    ReplyReader(std::string authority, const Bounds& bounds);
    ReplyReader(const ReplyReader&) = delete;
    ReplyReader& operator=(const ReplyReader&) = delete;
    ~ReplyReader();

    [[nodiscard]] Result<std::optional<RedisReply>> feed(ByteView bytes);

   private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace coldframe::remote
