#include <coldframe/remote/url.hpp>

#include <coldframe/util/try.hpp>

#include <algorithm>
#include <charconv>

namespace coldframe::remote {
namespace {

std::unexpected<Error> wrong(const std::string& what) {
    return fail(ErrorCode::invalid_argument, "the remote's URL " + what +
                                                 ": write it like https://host/prefix, bazel+https://host/prefix, "
                                                 "s3://bucket/prefix, redis://host:6379/0 or file:///directory");
}

bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; }
// What could end a header, a line or a URL in whatever it is passed on to.
bool is_plain(char c) { return c > ' ' && c != 0x7f && c != '\\' && c != '"' && c != '<' && c != '>'; }

std::optional<std::string> decode(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        unsigned value = 0;
        const char* digits = text.data() + i + 1;
        if (text.size() - i < 3 || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2 || value < 0x20) {
            return std::nullopt;
        }
        decoded += static_cast<char>(value);
        i += 2;
    }
    return decoded;
}

// Takes what stands before the separator off `text`; all of it where there is none.
std::string_view take_until(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

Status read_authority(std::string_view authority, Url& url) {
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
        std::string_view secret = authority.substr(0, at);
        const auto user = decode(take_until(secret, ':'));
        const auto password = decode(secret);
        if (!user || !password) return wrong("has a user or password that is not percent-encoded");
        url.user = *user;
        url.password = *password;
        authority.remove_prefix(at + 1);
    }
    std::size_t end = authority.starts_with('[') ? authority.find(']') : authority.find(':');
    if (authority.starts_with('[') && end == std::string_view::npos) return wrong("has an address without ]");
    if (authority.starts_with('[')) ++end;
    url.host = authority.substr(0, end);
    if (end >= authority.size()) return {};
    const std::string_view digits = authority.substr(end + 1);
    std::uint16_t port = 0;
    const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (authority[end] != ':' || error != std::errc{} || last != digits.data() + digits.size() || port == 0) {
        return wrong("has no number from 1 to 65535 for a port");
    }
    url.port = port;
    return {};
}

}  // namespace

std::string_view scheme_of(std::string_view text) {
    const std::size_t end = text.find("://");
    if (end == std::string_view::npos || end == 0 || !std::ranges::all_of(text.substr(0, end), is_name)) return {};
    return text.substr(0, end);
}

Result<Url> parse_url(std::string_view text) {
    Url url;
    url.scheme = scheme_of(text);
    if (url.scheme.empty()) return wrong("has no scheme");
    if (!std::ranges::all_of(text, is_plain)) return wrong("has a character that must be percent-encoded");
    text.remove_prefix(url.scheme.size() + 3);
    text = take_until(text, '#');
    std::string_view place = take_until(text, '?');
    const std::size_t slash = std::min(place.find('/'), place.size());
    COLDFRAME_TRY(read_authority(place.substr(0, slash), url));
    place.remove_prefix(slash);
    while (place.starts_with('/')) place.remove_prefix(1);
    while (place.ends_with('/')) place.remove_suffix(1);
    url.path = place;
    while (!text.empty()) {
        std::string_view pair = take_until(text, '&');
        const std::string_view name = take_until(pair, '=');
        const auto value = decode(pair);
        if (!value) return wrong("has a query that is not percent-encoded");
        url.query.emplace(name, *value);
    }
    return url;
}

std::string Url::authority() const { return port ? host + ":" + std::to_string(*port) : host; }

std::string Url::printable() const { return scheme + "://" + authority() + "/" + path; }

std::string Url::take(const std::string& name) {
    const auto node = query.extract(name);
    return node ? node.mapped() : std::string();
}

Status Url::check_query() const {
    if (query.empty()) return {};
    return fail(ErrorCode::invalid_argument,
                "the remote's URL has the parameter '" + query.begin()->first + "', which means nothing for " + scheme + "://");
}

}  // namespace coldframe::remote
