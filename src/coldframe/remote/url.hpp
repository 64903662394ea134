// Where a remote is, as a user writes it.
//
//   Result<Url> url = parse_url("s3://bucket/prefix?region=eu-west-1");
//   url->scheme == "s3"; url->host == "bucket"; url->path == "prefix"; url->query["region"] == "eu-west-1"
//   url->printable()                                   // without user, password and query: for messages
//
// Percent-encoded characters of user, password and values of the query are decoded; the path stays as it was written, without
// slashes at its ends.
//
// Thread-safety: values. Failure: invalid_argument, which says what is expected and repeats nothing that may be secret.
#pragma once

#include <coldframe/util/error.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace coldframe::remote {

struct Url {
    std::string scheme;
    std::string user;
    std::string password;
    std::string host;  // an IPv6 address in brackets
    std::optional<std::uint16_t> port;
    std::string path;
    std::map<std::string, std::string> query;

    [[nodiscard]] std::string printable() const;
    [[nodiscard]] std::string authority() const;  // host and port
    // The value of a parameter, which is then known; empty where there is none.
    [[nodiscard]] std::string take(const std::string& name);
    // Whether all parameters were known.
    [[nodiscard]] Status check_query() const;
};

[[nodiscard]] Result<Url> parse_url(std::string_view text);
// Of a text that need not be a URL: what stands before "://", else nothing.
[[nodiscard]] std::string_view scheme_of(std::string_view text);

}  // namespace coldframe::remote
