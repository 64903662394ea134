#include <coldframe/network/curl_support.hpp>

#include <fcntl.h>

#include <cstdlib>

namespace coldframe::remote {
namespace {

void initialise_once() {
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    static_cast<void>(done);
}

// Programs that are started later have no use for it.
int close_on_exec(void*, curl_socket_t socket, curlsocktype) {
    static_cast<void>(::fcntl(socket, F_SETFD, FD_CLOEXEC));
    return CURL_SOCKOPT_OK;
}

}  // namespace

CurlHandle make_curl() {
    initialise_once();
    return CurlHandle(curl_easy_init());
}

CurlMulti make_curl_multi() {
    initialise_once();
    return CurlMulti(curl_multi_init());
}

void set_common_options(CURL* handle, const Limits& limits) {
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(handle, CURLOPT_SOCKOPTFUNCTION, &close_on_exec);
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits.connect.count()));
    // As OpenSSL's own programs do; libcurl does not look at it.
    const char* authorities = std::getenv("SSL_CERT_FILE");  // NOLINT(concurrency-mt-unsafe): nothing of coldframe writes it
    if (authorities != nullptr) curl_easy_setopt(handle, CURLOPT_CAINFO, authorities);
}

}  // namespace coldframe::remote
