// Answers of HTTP servers. A server on loopback answers every request with the input and hangs up; but the first, which is
// answered well, for what a request leaves behind.
#include <fuzz.hpp>

#include <coldframe/network/http_blobs.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <thread>

using namespace coldframe;
using namespace coldframe::remote;
using fuzz::require;

namespace {

constexpr std::uint64_t k_max_size = 4096;
constexpr std::string_view k_good = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 1\r\n\r\nx";

class Server {
   public:
    Server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(address);
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        require(::bind(listener_, generic, size) == 0 && ::listen(listener_, 8) == 0);
        require(::getsockname(listener_, generic, &size) == 0);
        port_ = ntohs(address.sin_port);
        std::thread([this] { serve(); }).detach();  // until the process ends
    }

    void answer_with(ByteView bytes) {
        const std::scoped_lock lock(mutex_);
        answer_.assign(bytes.begin(), bytes.end());
    }
    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

   private:
    void serve() {
        while (true) {
            const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (peer < 0) continue;
            read_request(peer);
            {
                const std::scoped_lock lock(mutex_);
                static_cast<void>(::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL));
            }
            ::close(peer);
        }
    }
    static void read_request(int peer) {
        char buffer[4096];
        std::string request;
        while (!request.ends_with("\r\n\r\n")) {
            const ssize_t count = ::recv(peer, buffer, sizeof(buffer), 0);
            if (count <= 0) return;
            request.append(buffer, static_cast<std::size_t>(count));
        }
    }

    int listener_;
    int port_ = 0;
    std::mutex mutex_;
    Bytes answer_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static auto& server = *new Server();
    static auto& blobs = *new HttpBlobs({.base = server.url(), .credentials = {}, .headers = {}});
    constexpr Limits k_limits{.connect = milliseconds(5000), .patience = milliseconds(5000), .attempts = 1};
    server.answer_with(fuzz::bytes_of(k_good));
    require(blobs.get("name", k_max_size, k_limits).value()->version == "\"1\"");
    server.answer_with({data, size});
    const auto content = blobs.get("name", k_max_size, k_limits);
    static_cast<void>(blobs.has("name", 3, k_limits));
    if (!content) return 0;
    if (*content) {
        require((*content)->bytes.size() <= k_max_size);
        require((*content)->version.find_first_of("\r\n") == std::string::npos);
    }
    fuzz::accept();
    return 0;
}
