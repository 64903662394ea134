#include <coldframe/network/http_blobs.hpp>

#include <coldframe/util/try.hpp>

namespace coldframe::remote {
namespace {

// Of no body at all.
constexpr const char* k_sha256_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::uint64_t k_max_message = std::uint64_t{64} << 10;  // that comes with an error

std::unexpected<Error> refused(long status) {
    const std::string text = "the remote answered with status " + std::to_string(status);
    if (status == 401 || status == 403 || status == 407) {
        return fail(ErrorCode::untrusted, text + ": check its credentials and what they may do");
    }
    if (status == 405) return fail(ErrorCode::untrusted, text + ": it does not take this request");
    if (status >= 300 && status < 400) return fail(ErrorCode::untrusted, text + ": redirects are not followed");
    if (status == 413 || status == 507) return fail(ErrorCode::no_space, text);
    return fail(ErrorCode::io, text);
}

std::string base64(ByteView bytes) {
    constexpr const char* k_letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? bytes[i + k] : 0U);
        for (std::size_t k = 0; k < 4; ++k) text += k <= count ? k_letters[group >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

bool is_success(long status) { return status >= 200 && status < 300; }

// S3 says of what is absent, to who may not list, that it is denied; of wrong credentials it says something else. A HEAD has no
// body to tell: whoever puts then will learn it.
bool is_absent(const Response& response, Dialect dialect) {
    if (response.status == 404 || response.status == 410) return true;
    if (dialect != Dialect::s3 || response.status != 403) return false;
    const std::string_view body(reinterpret_cast<const char*>(response.body.data()), response.body.size());
    return body.empty() || body.contains("<Code>AccessDenied</Code>");
}

}  // namespace

Result<std::optional<Blobs::Content>> HttpBlobs::get(const std::string& name, std::uint64_t max_size, const Limits& limits) {
    Request request{.method = "GET", .url = place_.base + name, .headers = place_.headers, .body = {}, .max_size = max_size};
    if (place_.dialect == Dialect::s3) request.headers.push_back(std::string("x-amz-content-sha256: ") + k_sha256_of_nothing);
    request.max_size = std::max(max_size, k_max_message);
    COLDFRAME_TRY_ASSIGN(Response response, transfer_.perform(request, limits));
    if (is_absent(response, place_.dialect)) return std::nullopt;
    if (response.status != 200) return refused(response.status);
    if (response.body.size() > max_size) return fail(ErrorCode::corrupt, "the remote sent more bytes than there may be");
    return Content{std::move(response.body), std::move(response.etag)};
}

Result<bool> HttpBlobs::has(const std::string& name, std::uint64_t size, const Limits& limits) {
    Request request{
        .method = "HEAD", .url = place_.base + name, .headers = place_.headers, .body = {}, .max_size = k_max_message};
    if (place_.dialect == Dialect::s3) request.headers.push_back(std::string("x-amz-content-sha256: ") + k_sha256_of_nothing);
    COLDFRAME_TRY_ASSIGN(const Response response, transfer_.perform(request, limits));
    if (is_absent(response, place_.dialect)) return false;
    if (!is_success(response.status)) return refused(response.status);
    return response.length < 0 || static_cast<std::uint64_t>(response.length) == size;
}

Result<Response> HttpBlobs::put_once(const std::string& name, ByteView bytes, const Digest& digest, const Condition& condition,
                                     const Limits& limits) {
    Request request{
        .method = "PUT", .url = place_.base + name, .headers = place_.headers, .body = bytes, .max_size = k_max_message};
    request.headers.emplace_back("Content-Type: application/octet-stream");
    if (place_.dialect == Dialect::s3) {
        request.headers.push_back("x-amz-content-sha256: " + to_hex(digest));
        request.headers.push_back("x-amz-checksum-sha256: " + base64(digest));
        if (conditional_ && condition.absent) request.headers.emplace_back("If-None-Match: *");
        if (conditional_ && !condition.version.empty()) request.headers.push_back("If-Match: " + condition.version);
    }
    return transfer_.perform(request, limits);
}

// What is there already answers in some way that says so; nothing depends on it.
void HttpBlobs::make_directories(const std::string& name, const Limits& limits) {
    for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
        const Request request{.method = "MKCOL",
                              .url = place_.base + name.substr(0, slash + 1),
                              .headers = place_.headers,
                              .body = {},
                              .max_size = k_max_message};
        ignore_failure(transfer_.perform(request, limits));
    }
}

Result<bool> HttpBlobs::put(const std::string& name, ByteView bytes, const Digest& digest, const Condition& condition,
                            const Limits& limits) {
    Result<Response> response = put_once(name, bytes, digest, condition, limits);
    if (response && response->status == 409 && place_.dialect == Dialect::http) {
        make_directories(name, limits);
        response = put_once(name, bytes, digest, condition, limits);
    }
    if (response && response->status == 501 && conditional_) {
        conditional_ = false;
        response = put_once(name, bytes, digest, condition, limits);
    }
    if (!response) return std::unexpected(std::move(response.error()));
    if (is_success(response->status)) return true;
    const bool lost = response->status == 409 || response->status == 412 || (response->status == 404 && conditional_);
    if (lost && place_.dialect == Dialect::s3 && (condition.absent || !condition.version.empty())) return false;
    return refused(response->status);
}

}  // namespace coldframe::remote
