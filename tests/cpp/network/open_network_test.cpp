// Remotes by their URLs.
#include <coldframe/network/open_network.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::remote;

TEST_CASE("each scheme has a remote, and its name has no secrets") {
    const auto name_of = [](std::string_view url) { return open_remote(url, &open_network).value().name; };
    CHECK(name_of("http://u:secret@host/p") == "http://host/p");
    CHECK(name_of("bazel+https://host/p?layout=bazel") == "bazel+https://host/p");
    CHECK(name_of("s3://bucket/p?endpoint=http://secret@host") == "s3://bucket/p");
    CHECK(name_of("rediss://:secret@host:7000/1") == "rediss://host:7000/1");
    CHECK(name_of("file:///a/b?owner=any") == "file:///a/b");
    for (const char* url :
         {"http://h", "https://h", "bazel+http://h", "bazel+https://h", "s3://b", "redis://h", "rediss://h", "file:///d"}) {
        CHECK(is_known_scheme(url));
        CHECK(open_remote(url, &open_network).value().connect() != nullptr);
    }
    CHECK_FALSE(is_known_scheme("gs://bucket"));
    CHECK_FALSE(is_known_scheme("file"));
}
