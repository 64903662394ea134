// HTTP requests, one after another, over a connection that is kept; libcurl does the work.
//
//   Transfer transfer(credentials);
//   Result<Response> response = transfer.perform({.method = "GET", .url = url, .max_size = 4096}, limits);
//   if (response && response->status == 200) ...
//
// Waiting ends where the limits say so, in each phase: resolving a name, connecting, sending, receiving. Redirects are not
// followed. Certificates are verified. What failed for another reason than time, or was answered with 429 or 5xx, is tried
// again after a random pause. The body is no longer than `max_size`.
//
// Thread-safety: one object serves one thread. Failure: timeout, io, corrupt (more bytes than allowed, or fewer than
// announced). A status is no failure. Messages name the host and what failed, never a path, a user or a query.
#pragma once

#include <coldframe/remote/limits.hpp>
#include <coldframe/util/bytes.hpp>
#include <coldframe/util/error.hpp>

#include <memory>
#include <string>
#include <vector>

namespace coldframe::remote {

struct Credentials {
    std::string user;
    std::string password;
    std::string token;   // sent as a bearer token
    std::string sigv4;   // libcurl's parameter of it, for S3
    bool netrc = false;  // user and password of the host, if ~/.netrc has them
};

struct Request {
    std::string method;  // GET, HEAD, PUT, MKCOL
    std::string url;
    std::vector<std::string> headers;
    ByteView body;
    std::uint64_t max_size = 0;  // of the answer
};

struct Response {
    long status = 0;
    Bytes body;
    std::string etag;
    std::int64_t length = -1;  // as announced
};

class Transfer {
   public:
    explicit Transfer(Credentials credentials);
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    [[nodiscard]] Result<Response> perform(const Request& request, const Limits& limits);

   private:
    struct State;
    [[nodiscard]] Result<Response> perform_once(const Request& request, const Limits& limits);

    Credentials credentials_;
    std::unique_ptr<State> state_;
};

}  // namespace coldframe::remote
