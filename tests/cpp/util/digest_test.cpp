#include <coldframe/util/digest.hpp>

#include <doctest/doctest.h>

using namespace coldframe;

namespace {

constexpr std::string_view k_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // FIPS 180-2, B.1

}  // namespace

TEST_CASE("sha256 of the standard's example, at once and in pieces") {
    const Bytes abc = {'a', 'b', 'c'};
    CHECK(to_hex(sha256(abc)) == k_abc);
    Sha256 pieces;
    pieces.update(ByteView(abc).first(1));
    pieces.update({});
    pieces.update(ByteView(abc).subspan(1));
    CHECK(to_hex(pieces.finish()) == k_abc);
    CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("hexadecimal text becomes a digest only if it is exactly one") {
    CHECK(digest_from_hex(k_abc) == sha256(Bytes{'a', 'b', 'c'}));
    CHECK_FALSE(digest_from_hex(k_abc.substr(1)).has_value());
    CHECK_FALSE(digest_from_hex(std::string(k_abc) + "00").has_value());
    CHECK_FALSE(digest_from_hex("BA" + std::string(k_abc.substr(2))).has_value());
    CHECK_FALSE(digest_from_hex("g" + std::string(k_abc.substr(1))).has_value());
}
