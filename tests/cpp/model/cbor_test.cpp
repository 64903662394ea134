#include <coldframe/model/cbor.hpp>

#include <support/sample.hpp>

#include <doctest/doctest.h>

#include <map>

using namespace coldframe;
using cbor::UnknownFields;

namespace {

Status read_two_fields(ByteView bytes, UnknownFields unknown) {
    cbor::Reader reader(bytes, unknown);
    reader.fields(2, [&](unsigned) { static_cast<void>(reader.integer()); });
    return reader.finish();
}

}  // namespace

TEST_CASE("a structure has its fields in order, all of them, and newer ones only when allowed") {
    CHECK(read_two_fields(Bytes{0xa2, 0, 5, 1, 6}, UnknownFields::reject).has_value());
    CHECK(read_two_fields(Bytes{0xa1, 0, 5}, UnknownFields::skip).error().message.starts_with("a structure that lacks fields"));
    CHECK(read_two_fields(Bytes{0xa2, 0, 5, 2, 6}, UnknownFields::skip).error().message.starts_with("field 1 is missing"));
    CHECK(read_two_fields(Bytes{0xa2, 1, 5, 0, 6}, UnknownFields::skip).error().message.starts_with("field 0 is missing"));
    const Bytes newer = {0xa3, 0, 5, 1, 6, 2, 0x81, 0xa1, 0x61, 'k', 0xd9, 0xcf, 0x77, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0};
    CHECK(read_two_fields(newer, UnknownFields::skip).has_value());
    CHECK(read_two_fields(newer, UnknownFields::reject).error().message.starts_with("a structure with unknown fields"));
}

TEST_CASE("what is skipped must be canonical too") {
    const auto with_third = [](const Bytes& third) {
        return read_two_fields(coldframe::testing::joined({0xa3, 0, 5, 1, 6}, third), UnknownFields::skip);
    };
    CHECK(with_third({7, 0xf6}).has_value());
    CHECK(with_third({1, 0xf6}).error().message.starts_with("map keys that repeat or are out of order"));
    CHECK(with_third({2, 0x18, 5}).error().message.starts_with("a head that is not the shortest"));
    CHECK(with_third({2, 0xf7}).error().message.starts_with("an unknown simple value"));
    CHECK(with_third({2, 0xf9, 0, 0}).error().message.starts_with("an unknown simple value"));
    CHECK(with_third({2, 0x61, 0xff}).error().message.starts_with("a text string that is not UTF-8"));
    CHECK(with_third({2, 0xa2, 1, 1, 1, 1}).error().message.starts_with("map keys that repeat or are out of order"));
    CHECK(with_third({2, 0x82, 1}).error().message.starts_with("an item that is cut short"));
    Bytes deep(2001, 0x81);
    deep[0] = 2;
    CHECK(with_third(deep).error().message.starts_with("unknown fields that nest too deeply"));
}

TEST_CASE("maps with string keys are in the order of their encoding") {
    const std::map<std::string, int> entries = {{"a", 1}, {"aa", 2}, {"b", 3}};
    cbor::Writer writer;
    writer.string_map(entries, [&](int value) { writer.integer(value); });
    const Bytes bytes = std::move(writer).finish().value();
    CHECK(bytes == Bytes{0xa3, 0x61, 'a', 1, 0x61, 'b', 3, 0x62, 'a', 'a', 2});

    const auto read = [](const Bytes& encoded) {
        cbor::Reader reader(encoded);
        reader.string_map([&](const std::string&) { static_cast<void>(reader.integer()); });
        return reader.finish();
    };
    CHECK(read(bytes).has_value());
    CHECK_FALSE(read({0xa2, 0x61, 'b', 1, 0x61, 'a', 2}).has_value());
    CHECK_FALSE(read({0xa2, 0x61, 'a', 1, 0x61, 'a', 2}).has_value());
    CHECK_FALSE(read({0xa2, 0x61, 'a', 1}).has_value());
}

TEST_CASE("a typed read of another type is corrupt, and the first failure is the one that is told") {
    const Bytes text = {0x61, 'a', 0x01};
    cbor::Reader reader(text);
    CHECK(reader.integer() == 0);
    CHECK(reader.string().empty());
    CHECK_FALSE(reader.is_null());
    CHECK(reader.finish().error().message == "no integer of 64 bits at offset 1");

    const auto message = [](const Bytes& bytes, auto&& read) {
        cbor::Reader typed(bytes);
        read(typed);
        return typed.finish().error().message;
    };
    CHECK(message({0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0}, [](auto& r) { r.integer(); }).starts_with("no integer of 64 bits"));
    CHECK(message({0x20}, [](auto& r) { r.unsigned_int(); }).starts_with("no unsigned integer in range"));
    CHECK(message({0x05}, [](auto& r) { r.unsigned_int(4); }).starts_with("no unsigned integer in range"));
    CHECK(message({0xf6}, [](auto& r) { r.boolean(); }).starts_with("no bool"));
    CHECK(message({0x01}, [](auto& r) { r.float_bits(); }).starts_with("no float of 64 bits"));
    CHECK(message({0x41, 1}, [](auto& r) { r.digest(); }).starts_with("no digest of 32 bytes"));
    CHECK(message({0x01}, [](auto& r) { r.bytes(); }).starts_with("no byte string"));
    CHECK(message({0x01}, [](auto& r) { r.array(); }).starts_with("no array"));
    CHECK(message({0x82, 1, 1}, [](auto& r) { r.array_of(3); }).starts_with("no array of 3"));
}

TEST_CASE("utf-8 is told from its generalisation and from neither") {
    CHECK(cbor::classify_utf8("plain") == cbor::Utf8::strict);
    CHECK(cbor::classify_utf8("\xf0\x9f\x98\x80") == cbor::Utf8::strict);
    CHECK(cbor::classify_utf8("\xed\xa0\x80") == cbor::Utf8::surrogates);
    CHECK(cbor::classify_utf8("\xed\xbf\xbf") == cbor::Utf8::surrogates);
    for (const std::string_view bad : {"\x80", "\xc1\x80", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5",
                                       "\xe2\x82", "\xe2\x28\xa1", "\xff"}) {
        CHECK(cbor::classify_utf8(bad) == cbor::Utf8::invalid);
    }
}
