#include <coldframe/network/stream.hpp>

#include <coldframe/network/curl_support.hpp>

#include <poll.h>

namespace coldframe::remote {

struct Stream::State {
    CurlHandle easy;
    curl_socket_t socket = CURL_SOCKET_BAD;
    std::string authority;
};

Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

Result<Stream> Stream::open(const std::string& authority, Tls tls, const Limits& limits) {
    auto state = std::make_unique<State>(State{make_curl(), CURL_SOCKET_BAD, authority});
    CURL* easy = state->easy.get();
    if (easy == nullptr) return fail(ErrorCode::io, "not enough memory for a connection");
    Limits within = limits;
    const auto left = std::chrono::floor<milliseconds>(limits.latest() - std::chrono::steady_clock::now());
    within.connect = std::clamp(left, milliseconds(1), std::min(limits.connect, limits.patience));
    set_common_options(easy, within);
    curl_easy_setopt(easy, CURLOPT_URL, ((tls == Tls::yes ? "https://" : "http://") + authority).c_str());
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    const CURLcode code = curl_easy_perform(easy);
    if (code == CURLE_OPERATION_TIMEDOUT) return fail(ErrorCode::timeout, authority + " cannot be reached in time");
    if (code != CURLE_OK) return fail(ErrorCode::io, authority + ": " + curl_easy_strerror(code));
    if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &state->socket) != CURLE_OK) {
        return fail(ErrorCode::io, authority + ": the connection is gone");
    }
    return Stream(std::move(state));
}

Status Stream::wait(short events, const Watch& watch) const {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (watch.expired(now)) return fail(ErrorCode::timeout, state_->authority + " is too slow");
    pollfd entry{.fd = state_->socket, .events = events, .revents = 0};
    static_cast<void>(::poll(&entry, 1, watch.wait(now)));
    return {};
}

Status Stream::send(ByteView bytes, Watch& watch) {
    while (!bytes.empty()) {
        std::size_t count = 0;
        const CURLcode code = curl_easy_send(state_->easy.get(), bytes.data(), bytes.size(), &count);
        if (code == CURLE_OK) {
            bytes = bytes.subspan(count);
            watch.moved(count, std::chrono::steady_clock::now());
            continue;
        }
        if (code != CURLE_AGAIN) return fail(ErrorCode::io, state_->authority + ": " + curl_easy_strerror(code));
        if (Status ready = wait(POLLOUT, watch); !ready) return ready;
    }
    return {};
}

Result<std::size_t> Stream::receive(std::span<std::uint8_t> out, Watch& watch) {
    while (true) {
        std::size_t count = 0;
        const CURLcode code = curl_easy_recv(state_->easy.get(), out.data(), out.size(), &count);
        if (code == CURLE_OK && count == 0) return fail(ErrorCode::io, state_->authority + " has closed the connection");
        if (code == CURLE_OK) {
            watch.moved(count, std::chrono::steady_clock::now());
            return count;
        }
        if (code != CURLE_AGAIN) return fail(ErrorCode::io, state_->authority + ": " + curl_easy_strerror(code));
        if (Status ready = wait(POLLIN, watch); !ready) return std::unexpected(std::move(ready.error()));
    }
}

}  // namespace coldframe::remote
