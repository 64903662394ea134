// The record of a key on the wire.
#include <coldframe/remote/record.hpp>

#include <support/sample.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::remote;
using namespace coldframe::testing;

namespace {

Listed variant_of(const std::string& seed, std::size_t objects) {
    Listed variant{{digest_of(seed), 1000 + seed.size()}, {}};
    for (std::size_t i = 0; i < objects; ++i) {
        variant.objects.push_back({digest_of(seed + std::to_string(i)), (std::uint64_t{1} << (7 * i)) - 1});
    }
    return variant;
}

Bytes bytes_of_hex(std::string_view hex) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes.push_back(static_cast<std::uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
}

void append(Bytes& bytes, ByteView more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

}  // namespace

TEST_CASE("a record comes back as it was") {
    for (const std::size_t count : {0, 1, 3, 16}) {
        Record record;
        for (std::size_t i = 0; i < count; ++i) record.add(variant_of("v" + std::to_string(i), i % 6));
        const auto decoded = decode_record(encode_record(record));
        REQUIRE(decoded.has_value());
        CHECK(*decoded == record);
    }
}

TEST_CASE("the bytes are those of an ActionResult, worked out by hand") {
    const Record record{{Listed{{Digest{}, 300}, {}}}};
    const std::string zeros(64, '0');
    Bytes expected = bytes_of_hex("128b01");  // field 2, 139 bytes
    append(expected, bytes_of_hex("0a42"));   // path, 66 bytes
    append(expected, bytes_of(zeros + ".m"));
    append(expected, bytes_of_hex("12450a40"));  // digest of 69 bytes, whose hash has 64
    append(expected, bytes_of(zeros));
    append(expected, bytes_of_hex("10ac02"));  // size 300
    append(expected, bytes_of_hex("2a13"));    // stdout_raw
    append(expected, bytes_of("coldframe record 1\n"));
    append(expected, bytes_of_hex("4a0b0a09"));  // execution_metadata with a worker
    append(expected, bytes_of("coldframe"));
    CHECK(encode_record(record) == expected);
}

TEST_CASE("fields in another order, unknown ones and other files are passed over") {
    Record record;
    record.add(variant_of("a", 2));
    Bytes message = bytes_of_hex("2000");                               // exit_code 0
    append(message, bytes_of_hex("9a0603616263"));                      // field 99
    append(message, bytes_of_hex("f90601020304050607089d0701020304"));  // fixed64 and fixed32
    append(message, encode_record(record));
    const auto decoded = decode_record(message);
    REQUIRE(decoded.has_value());
    CHECK(*decoded == record);
}

TEST_CASE("every truncation and every flipped bit is corrupt or names something else; none is read past its end") {
    Record record;
    record.add(variant_of("a", 2));
    const Bytes message = encode_record(record);
    for (std::size_t size = 0; size < message.size(); ++size) {
        const auto decoded = decode_record(ByteView(message).first(size));
        if (decoded) CHECK(decoded->variants.size() <= 1);
    }
    for (std::size_t bit = 0; bit < 8 * message.size(); ++bit) {
        Bytes changed = message;
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        const auto decoded = decode_record(changed);
        if (!decoded) CHECK(decoded.error().code == ErrorCode::corrupt);
    }
}

TEST_CASE("what is no record of coldframe is corrupt") {
    const std::string zeros(64, '0');
    for (const char* hex : {"", "00", "ff", "ffffffffffffffffffffff", "12ffffffffffffffffff01", "2a00", "0b", "1205"}) {
        INFO(hex);
        const auto decoded = decode_record(bytes_of_hex(hex));
        REQUIRE_FALSE(decoded.has_value());
        CHECK(decoded.error().code == ErrorCode::corrupt);
    }
    CHECK_FALSE(decode_record(Bytes(k_max_record_size + 1)).has_value());
}

TEST_CASE("a variant comes to the front, is there once, and the oldest goes beyond sixteen") {
    Record record;
    for (int i = 0; i < 20; ++i) CHECK(record.add(variant_of("v" + std::to_string(i), 1)));
    REQUIRE(record.variants.size() == k_max_variants);
    CHECK(record.variants.front() == variant_of("v19", 1));
    CHECK(record.variants.back() == variant_of("v4", 1));
    CHECK_FALSE(record.add(variant_of("v19", 1)));
    CHECK(record.add(variant_of("v10", 1)));
    CHECK(record.variants.size() == k_max_variants);
    CHECK(record.variants.front() == variant_of("v10", 1));
}
