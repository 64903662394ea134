#include <coldframe/network/transfer.hpp>

#include <coldframe/network/curl_support.hpp>
#include <coldframe/network/pause.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

namespace coldframe::remote {
namespace {

constexpr std::uint64_t k_first_reservation = std::uint64_t{1} << 20;

std::string host_of(const std::string& url) {
    const std::size_t begin = std::min(url.find("://") + 3, url.size());
    return url.substr(begin, url.find('/', begin) - begin);
}

// What one request has sent and received.
struct Exchange {
    const Request& request;
    std::size_t sent = 0;
    Bytes body;
    std::uint64_t received = 0;
    bool too_long = false;
    std::string etag;

    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self_pointer) {
        auto& self = *static_cast<Exchange*>(self_pointer);
        self.received += size;
        if (self.received > self.request.max_size) {
            self.too_long = true;
            return 0;
        }
        try {
            if (self.body.empty()) self.body.reserve(std::min(self.request.max_size, k_first_reservation));
            self.body.insert(self.body.end(), data, data + size);
        } catch (const std::bad_alloc&) {
            return 0;
        }
        return size;
    }
    static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self_pointer) {
        auto& self = *static_cast<Exchange*>(self_pointer);
        const std::string_view line(data, size);
        constexpr std::string_view k_name = "etag:";
        if (line.size() <= k_name.size() || ::strncasecmp(data, k_name.data(), k_name.size()) != 0) return size;
        std::string_view value = line.substr(k_name.size());
        while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
        while (!value.empty() && (value.back() == '\r' || value.back() == '\n' || value.back() == ' ')) value.remove_suffix(1);
        // It goes into the headers of later requests.
        const bool is_plain =
            std::ranges::none_of(value, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
        self.etag = is_plain ? value : "";
        return size;
    }
    static std::size_t on_read(char* out, std::size_t, std::size_t size, void* self_pointer) {
        auto& self = *static_cast<Exchange*>(self_pointer);
        const std::size_t count = std::min(size, self.request.body.size() - self.sent);
        std::memcpy(out, self.request.body.data() + self.sent, count);
        self.sent += count;
        return count;
    }
    // To send it again on another connection.
    static int on_seek(void* self_pointer, curl_off_t offset, int origin) {
        auto& self = *static_cast<Exchange*>(self_pointer);
        if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > self.request.body.size()) {
            return CURL_SEEKFUNC_CANTSEEK;
        }
        self.sent = static_cast<std::size_t>(offset);
        return CURL_SEEKFUNC_OK;
    }
};

bool is_worth_another_try(const Result<Response>& result) {
    if (!result) return result.error().code == ErrorCode::io;
    return result->status == 429 || result->status >= 500;
}

}  // namespace

// Connections are the multi handle's. Each request has an easy handle of its own: libcurl 7.83 to 7.88 follows a freed header
// of the last request when an answer begins with a folded one.
struct Transfer::State {
    CurlMulti multi = make_curl_multi();
};

Transfer::Transfer(Credentials credentials) : credentials_(std::move(credentials)), state_(std::make_unique<State>()) {}

Transfer::~Transfer() = default;

namespace {

// Waiting for "100 Continue" costs a second where it does not come.
CurlList headers_of(const Request& request, bool is_signed) {
    CurlList list;
    const auto append = [&](const char* header) {
        curl_slist* first = curl_slist_append(list.get(), header);
        if (list == nullptr) list.reset(first);  // else it is the same, or null without memory
    };
    for (const std::string& header : request.headers) append(header.c_str());
    // libcurl would sign even a header that is not to be sent.
    if (!is_signed) append("Expect:");
    return list;
}

void set_credentials(CURL* easy, const Credentials& credentials) {
    if (!credentials.sigv4.empty()) curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, credentials.sigv4.c_str());
    if (!credentials.user.empty() || !credentials.password.empty()) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, credentials.user.c_str());
        curl_easy_setopt(easy, CURLOPT_PASSWORD, credentials.password.c_str());
    } else if (!credentials.token.empty()) {
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, credentials.token.c_str());
    } else if (credentials.netrc) {
        curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
    }
}

void set_request(CURL* easy, Exchange& exchange) {
    const Request& request = exchange.request;
    curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
    if (request.method == "HEAD") {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (request.method == "PUT") {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, &Exchange::on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, &exchange);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, &Exchange::on_seek);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, &exchange);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Exchange::on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Exchange::on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
}

Result<Response> finish(CURL* easy, CURLcode code, Exchange& exchange, const std::string& host) {
    if (exchange.too_long) return fail(ErrorCode::corrupt, host + " sent more bytes than there may be");
    if (code == CURLE_OPERATION_TIMEDOUT) return fail(ErrorCode::timeout, host + " cannot be reached in time");
    // A connection that breaks in the middle, too; the next attempt shows which of the two it was.
    if (code != CURLE_OK) return fail(ErrorCode::io, host + ": " + curl_easy_strerror(code));
    Response response;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
    curl_off_t length = -1;
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    response.length = length;
    response.body = std::move(exchange.body);
    response.etag = std::move(exchange.etag);
    return response;
}

}  // namespace

Result<Response> Transfer::perform_once(const Request& request, const Limits& limits) {
    const CurlHandle handle = make_curl();
    CURL* easy = handle.get();
    CURLM* multi = state_->multi.get();
    if (easy == nullptr || multi == nullptr) return fail(ErrorCode::io, "not enough memory for a connection");
    set_common_options(easy, limits);
    Exchange exchange{.request = request, .body = {}, .etag = {}};
    set_request(easy, exchange);
    set_credentials(easy, credentials_);
    const CurlList headers = headers_of(request, !credentials_.sigv4.empty());
    curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());

    const std::string host = host_of(request.url);
    if (curl_multi_add_handle(multi, easy) != CURLM_OK) return fail(ErrorCode::internal, "libcurl takes no request");
    struct Removal {
        CURLM* multi;
        CURL* easy;
        ~Removal() { curl_multi_remove_handle(multi, easy); }
    };
    const Removal removal{multi, easy};
    Watch watch(limits, std::chrono::steady_clock::now());
    std::uint64_t moved = 0;
    while (true) {
        int running = 0;
        if (curl_multi_perform(multi, &running) != CURLM_OK) return fail(ErrorCode::internal, "libcurl gives up");
        const SteadyTime now = std::chrono::steady_clock::now();
        if (const std::uint64_t present = exchange.received + exchange.sent; present > moved) {
            watch.moved(present - moved, now);
            moved = present;
        }
        int left = 0;
        if (const CURLMsg* message = curl_multi_info_read(multi, &left); message != nullptr && message->msg == CURLMSG_DONE) {
            return finish(easy, message->data.result, exchange, host);
        }
        if (watch.expired(now)) return fail(ErrorCode::timeout, host + " is too slow");
        static_cast<void>(curl_multi_poll(multi, nullptr, 0, watch.wait(now), nullptr));
    }
}

Result<Response> Transfer::perform(const Request& request, const Limits& limits) {
    const SteadyTime begin = std::chrono::steady_clock::now();
    Result<Response> result = perform_once(request, limits);
    for (int attempt = 1; attempt < limits.attempts && !limits.hurried() && is_worth_another_try(result); ++attempt) {
        // All attempts of an impatient caller share one patience.
        const auto spent = std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - begin);
        Limits rest = limits;
        rest.patience -= std::min(rest.patience, spent);
        if (rest.patience <= limits.pause) break;
        pause_before_retry(rest);
        result = perform_once(request, rest);
    }
    return result;
}

}  // namespace coldframe::remote
