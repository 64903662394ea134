#include <coldframe/store/counters.hpp>
#include <coldframe/store/disk_store.hpp>

#include <support/sample.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace coldframe;
using namespace coldframe::store;

TEST_CASE("counters come back from their text, and add up") {
    CounterValues values;
    for (std::size_t i = 0; i < k_counter_count; ++i) values[static_cast<Counter>(i)] = i * 1000;
    const auto back = decode_counters(encode_counters(values));
    REQUIRE(back.has_value());
    CounterValues sum = values;
    sum += *back;
    for (std::size_t i = 0; i < k_counter_count; ++i) CHECK(sum[static_cast<Counter>(i)] == i * 2000);
}

TEST_CASE("what is no report is none, and names of a newer version are passed over") {
    for (const char* text :
         {"", "coldframe counters 1", "coldframe counters 2\nhits 1\n", "coldframe counters 1\nhits\n",
          "coldframe counters 1\nhits -1\n", "coldframe counters 1\nhits 1", "coldframe counters 1\nhits 1 \n",
          "coldframe counters 1\nhits 99999999999999999999999\n", "coldframe counters 1\n\n"}) {
        CAPTURE(text);
        CHECK_FALSE(decode_counters(text).has_value());
    }
    const auto newer = decode_counters("coldframe counters 1\ninvented 7\nhits 2\n");
    REQUIRE(newer.has_value());
    CHECK((*newer)[Counter::hits] == 2);
    CHECK(counter_named("invented") == std::nullopt);
    CHECK(counter_named("compiled_guard") == Counter::compiled_guard);
}

TEST_CASE("what is taken is not there any more, unless it is given back") {
    Counters counters;
    counters.add(Counter::hits, 3);
    const CounterValues taken = counters.take();
    CHECK(taken[Counter::hits] == 3);
    CHECK(counters.values().empty());
    counters.give_back(taken);
    CHECK(counters.values()[Counter::hits] == 3);
}

TEST_CASE("every code of a refusal has a counter of its own where the caller acts differently") {
    CHECK(refusal_counter(ErrorCode::corrupt) == Counter::refused_corrupt);
    CHECK(refusal_counter(ErrorCode::untrusted) == Counter::refused_untrusted);
    CHECK(refusal_counter(ErrorCode::unsupported) == Counter::refused_unsupported);
    CHECK(refusal_counter(ErrorCode::not_found) == Counter::refused_incomplete);
    CHECK(refusal_counter(ErrorCode::io) == Counter::refused_io);
}

TEST_CASE("keys that differ anywhere have different digests, and the digest is what docs/store.md says") {
    const PackageKey key{"module", "qualname", testing::digest_of("code"), testing::digest_of("options")};
    std::set<Digest> digests{key_digest(key)};
    for (const PackageKey& other :
         {PackageKey{"modul", "equalname", key.code, key.options}, PackageKey{"module", "", key.code, {}},
          PackageKey{"module", "qualname", key.options, key.code}, PackageKey{}}) {
        CHECK(digests.insert(key_digest(other)).second);
    }
    Bytes bytes;
    for (const std::string text : {"coldframe key 1", "module", "qualname"}) {
        bytes.push_back(static_cast<std::uint8_t>(text.size()));
        bytes.insert(bytes.end(), 7, 0);
        bytes.insert(bytes.end(), text.begin(), text.end());
    }
    bytes.insert(bytes.end(), key.code.begin(), key.code.end());
    bytes.insert(bytes.end(), key.options.begin(), key.options.end());
    CHECK(key_digest(key) == sha256(bytes));
}
