// What transfers and streams share of libcurl.
//
//   CurlHandle handle = make_curl();                  // null only without memory
//   set_common_options(handle.get(), limits);
//
// Thread-safety: as libcurl's. Failure: none.
#pragma once

#include <coldframe/remote/limits.hpp>

#include <curl/curl.h>

#include <memory>

namespace coldframe::remote {

struct CurlDeleter {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct CurlMultiDeleter {
    void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct CurlListDeleter {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlHandle = std::unique_ptr<CURL, CurlDeleter>;
using CurlMulti = std::unique_ptr<CURLM, CurlMultiDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlListDeleter>;

[[nodiscard]] CurlHandle make_curl();
[[nodiscard]] CurlMulti make_curl_multi();
// Verified TLS, no signals, no redirects, HTTP only, and no waiting for a resolver that hangs.
void set_common_options(CURL* handle, const Limits& limits);

}  // namespace coldframe::remote
