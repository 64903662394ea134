// A TCP connection, with TLS or without, that never waits longer than the limits say. libcurl resolves, connects and encrypts.
//
//   Result<Stream> stream = Stream::open("redis.example.com:6379", Tls::no, limits);
//   Status sent = stream->send(bytes, watch);
//   Result<std::size_t> count = stream->receive(buffer, watch);             // at least one byte
//
// Thread-safety: one object serves one thread. Failure: timeout, io.
#pragma once

#include <coldframe/remote/limits.hpp>
#include <coldframe/util/bytes.hpp>
#include <coldframe/util/error.hpp>

#include <memory>
#include <span>
#include <string>

namespace coldframe::remote {

enum class Tls : std::uint8_t { no, yes };

class Stream {
   public:
    [[nodiscard]] static Result<Stream> open(const std::string& authority, Tls tls, const Limits& limits);
    Stream(Stream&& other) noexcept;
    Stream& operator=(Stream&& other) noexcept;
    ~Stream();

    [[nodiscard]] Status send(ByteView bytes, Watch& watch);
    [[nodiscard]] Result<std::size_t> receive(std::span<std::uint8_t> out, Watch& watch);

   private:
    struct State;
    explicit Stream(std::unique_ptr<State> state);
    [[nodiscard]] Status wait(short events, const Watch& watch) const;

    std::unique_ptr<State> state_;
};

}  // namespace coldframe::remote
