// URLs of remotes.
#include <coldframe/remote/open_remote.hpp>
#include <coldframe/remote/url.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::remote;

TEST_CASE("the parts of a URL") {
    const auto url = parse_url("https://me:p%40ss%2f@cache.example.com:8443//some/prefix/?layout=bazel&region=eu%2D1#part");
    REQUIRE(url.has_value());
    CHECK(url->scheme == "https");
    CHECK(url->user == "me");
    CHECK(url->password == "p@ss/");
    CHECK(url->host == "cache.example.com");
    CHECK(url->port == 8443);
    CHECK(url->path == "some/prefix");
    CHECK(url->query.at("layout") == "bazel");
    CHECK(url->query.at("region") == "eu-1");
    CHECK(url->printable() == "https://cache.example.com:8443/some/prefix");
    CHECK(parse_url("redis://[::1]:7000/2")->authority() == "[::1]:7000");
    CHECK(parse_url("redis://[::1]")->host == "[::1]");
    CHECK(parse_url("file:///mnt/shared")->path == "mnt/shared");
    CHECK(parse_url("http://user:a@b@host")->password == "a@b");
    CHECK(parse_url("http://:secret@host")->password == "secret");
}

TEST_CASE("a wrong URL is the caller's mistake, and nothing secret is in the message") {
    for (const char* text : {"", "host", "://host", "http:/host", "HTTP://host", "http://host:", "http://host:0",
                             "http://host:65536", "http://host:12x", "http://[::1", "http://[::1]x", "http://u:secret%0a@host",
                             "http://u:secret%4@host", "http://u:secret \r\nX: y@host", "http://host/\"", "http://host?a=%"}) {
        INFO(text);
        const auto url = parse_url(text);
        REQUIRE_FALSE(url.has_value());
        CHECK(url.error().code == ErrorCode::invalid_argument);
        CHECK(url.error().what().find("secret") == std::string::npos);
        CHECK_FALSE(open_remote(text, nullptr).has_value());
    }
}
