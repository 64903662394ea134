// Commands to a Redis server and their replies (redis_reply.hpp). hiredis writes the protocol; a Stream carries it.
//
//   RedisClient client({.authority = "localhost:6379"});
//   Result<RedisReply> reply = client.call({"GET", "key"}, {.size = 4096}, limits);  // reply->bytes, if reply->has_value
//
// The connection is made by the first call, and again after it broke: a call that had not been answered is sent once more.
//
// Thread-safety: one object serves one thread. Failure: timeout, io, untrusted (NOAUTH and the like), unsupported (a command
// that it does not know), no_space (OOM), corrupt (a reply that is or announces to be larger than the bounds, or none at all).
#pragma once

#include <coldframe/network/redis_reply.hpp>
#include <coldframe/network/stream.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coldframe::remote {

struct RedisPlace {
    std::string authority;
    Tls tls = Tls::no;
    std::string user;
    std::string password;
    std::string database;  // its number; empty: 0
};

class RedisClient {
   public:
    explicit RedisClient(RedisPlace place) : place_(std::move(place)) {}

    [[nodiscard]] Result<RedisReply> call(const std::vector<std::string_view>& command, const Bounds& bounds,
                                          const Limits& limits);

   private:
    [[nodiscard]] Status connect(const Limits& limits);
    [[nodiscard]] Result<RedisReply> exchange(const std::vector<std::string_view>& command, const Bounds& bounds,
                                              const Limits& limits);

    RedisPlace place_;
    std::optional<Stream> stream_;
};

}  // namespace coldframe::remote
