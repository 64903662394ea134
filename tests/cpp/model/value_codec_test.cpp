#include <coldframe/model/value_codec.hpp>

#include <support/sample.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

Bytes from_hex(std::string_view text) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
}

Value nested(unsigned levels) {
    Value value = None{};
    for (unsigned i = 1; i < levels; ++i) {
        List outer;
        outer.items.push_back(std::move(value));
        value = std::move(outer);
    }
    return value;
}

void check_refused(std::string_view hex, std::string_view message) {
    CAPTURE(hex);
    const Result<Value> value = decode(from_hex(hex));
    REQUIRE_FALSE(value.has_value());
    CHECK(value.error().code == ErrorCode::corrupt);
    CHECK(value.error().message.substr(0, message.size()) == message);
}

}  // namespace

TEST_CASE("every kind survives, and has one encoding") {
    const Value all = every_kind();
    for (const Value& value : all.get_if<Tuple>()->items) {
        const Bytes bytes = encode(value).value();
        const Value back = decode(bytes).value();
        CHECK(back == value);
        CHECK(encode(back).value() == bytes);
    }
    CHECK(decode(encode(all).value()).value() == all);
}

TEST_CASE("encodings that the specification gives") {
    const std::pair<Value, std::string_view> table[] = {
        {None{}, "f6"},
        {Value::boolean(false), "f4"},
        {Value::boolean(true), "f5"},
        {EllipsisValue{}, "d9cf00f6"},
        {Value::integer(0), "00"},
        {Value::integer(23), "17"},
        {Value::integer(24), "1818"},
        {Value::integer(256), "190100"},
        {Value::integer(65536), "1a00010000"},
        {Value::integer(4294967296), "1b0000000100000000"},
        {Value::integer(-1), "20"},
        {Value::integer(INT64_MIN), "3b7fffffffffffffff"},
        {BigInt{false, {0x80, 0, 0, 0, 0, 0, 0, 0}}, "1b8000000000000000"},
        {BigInt{false, {1, 0, 0, 0, 0, 0, 0, 0, 0}}, "c249010000000000000000"},
        {BigInt{true, {1, 0, 0, 0, 0, 0, 0, 0, 0}}, "3bffffffffffffffff"},
        {BigInt{true, {1, 0, 0, 0, 0, 0, 0, 0, 1}}, "c349010000000000000000"},
        {Value::real(1.5), "fb3ff8000000000000"},
        {Complex{{0}, {0x3ff0000000000000}}, "d9cf0282fb0000000000000000fb3ff0000000000000"},
        {Value::str("abc"), "63616263"},
        {Value::str("\xed\xb2\x80"), "d9cf0143edb280"},
        {Bytes{1, 2}, "420102"},
        {Tuple{{Value::integer(1)}}, "8101"},
        {List{{Value::integer(1)}}, "d9cf038101"},
        {Dict{{{Value::integer(2), Value::integer(1)}}}, "d9cf04820201"},
        {make_set({Value::integer(300), Value::integer(1)}, false).value(), "d9cf05820119012c"},
        {make_set({Value::integer(1)}, true).value(), "d9cf068101"},
        {Slice{{None{}, Value::integer(1), None{}}}, "d9cf0783f601f6"},
        {Range{{Value::integer(0), Value::integer(2), Value::integer(1)}}, "d9cf0883000201"},
        {ImportRef{"m", "q"}, "d9cf0a82616d6171"},
        {Construct{{"m", "q"}, {Value::integer(1)}}, "d9cf0b83616d61718101"},
    };
    for (const auto& [value, hex] : table) {
        CAPTURE(hex);
        CHECK(encode(value).value() == from_hex(hex));
        CHECK(decode(from_hex(hex)).value() == value);
    }
}

TEST_CASE("every other spelling of a value is corrupt") {
    check_refused("", "an item that is cut short");
    check_refused("1817", "a head that is not the shortest");
    check_refused("190017", "a head that is not the shortest");
    check_refused("1b00000000ffffffff", "a head that is not the shortest");
    check_refused("5803010203", "a head that is not the shortest");
    check_refused("f93e00", "a simple value or a short float");
    check_refused("fa3fc00000", "a simple value or a short float");
    check_refused("f7", "a simple value or a short float");
    check_refused("f820", "a simple value or a short float");
    check_refused("e0", "a simple value or a short float");
    check_refused("9f01ff", "an indefinite length or a reserved head");
    check_refused("1c", "an indefinite length or a reserved head");
    check_refused("a0", "a map where a value belongs");
    check_refused("c2420100", "a bignum that needs none");
    check_refused("c24900ffffffffffffffff", "a bignum that needs none");
    check_refused("c348ffffffffffffffff", "a bignum that needs none");
    check_refused("c200", "no byte string");
    check_refused("62c328", "a text string that is not UTF-8");
    check_refused("63edb280", "a text string that is not UTF-8");
    check_refused("62c0af", "a text string that is not UTF-8");
    check_refused("63e08080", "a text string that is not UTF-8");
    check_refused("64f4908080", "a text string that is not UTF-8");
    check_refused("d9cf014161", "a surrogate string that has none");
    check_refused("d9cf0141ff", "a surrogate string that has none");
    check_refused("d9cf0000", "an ellipsis that is not null");
    check_refused("d9cf028100", "no array of 2");
    check_refused("d9cf048101", "a dict with a key that has no value");
    check_refused("d9cf0484010201f6", "a dict with equal keys");
    check_refused("d9cf05820201", "set items that repeat or are out of order");
    check_refused("d9cf06820101", "set items that repeat or are out of order");
    check_refused("d9cf0782f6f6", "no array of 3");
    check_refused("d9cf0a8100", "no array of 2");
    check_refused("d9cf0a8200616d", "no string");
    check_refused("d9cf0900", "no map");
    check_refused("d9cf09a0", "a structure that lacks fields");
    check_refused("d9cf0cf6", "an unknown tag 53004");
    check_refused("c1f6", "an unknown tag 1");
    check_refused("0000", "1 bytes follow the end");
    check_refused("8201", "an item that is cut short");
    check_refused("6261", "a string that is cut short");
    check_refused("9bffffffffffffffff", "an item that is cut short");
    check_refused("5bffffffffffffffff", "a string that is cut short");
    check_refused("bbffffffffffffffff", "a map where a value belongs");
    check_refused("d9cf039affffffff", "an array that is cut short");
}

TEST_CASE("every truncation and extension of an encoding is corrupt") {
    const Bytes bytes = encode(every_kind()).value();
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        const Result<Value> value = decode(ByteView(bytes).first(length));
        REQUIRE_FALSE(value.has_value());
        CHECK(value.error().code == ErrorCode::corrupt);
    }
    Bytes longer = bytes;
    longer.push_back(0xf6);
    CHECK(decode(longer).error().code == ErrorCode::corrupt);
}

TEST_CASE("whatever byte changes, what still decodes encodes to the same bytes") {
    Bytes bytes = encode(every_kind()).value();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1u << bit));
            if (const Result<Value> value = decode(bytes)) CHECK(encode(*value).value() == bytes);
            bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1u << bit));
        }
    }
}

TEST_CASE("nesting is limited in both directions") {
    const Value deepest = nested(k_max_value_depth);
    CHECK(decode(encode(deepest).value()).value() == deepest);
    const Result<Bytes> too_deep = encode(nested(k_max_value_depth + 1));
    REQUIRE_FALSE(too_deep.has_value());
    CHECK(too_deep.error().code == ErrorCode::invalid_argument);
    CHECK(too_deep.error().message == "a value that nests deeper than 256 levels");

    Bytes bytes(100000, 0x81);
    bytes.push_back(0xf6);
    const Result<Value> refused = decode(bytes);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message == "a value that nests deeper than 256 levels at offset 256");
}

TEST_CASE("code nested in constants counts towards the nesting") {
    const auto code_levels = [](unsigned levels) {
        CodePtr code = code_named("leaf");
        for (unsigned i = 1; i < levels; ++i) {
            CodeFields fields = tiny_code_fields();
            fields.consts = {Value(code)};
            code = make_code(std::move(fields));
        }
        return code;
    };
    const CodePtr deepest = code_levels(k_max_value_depth - 1);  // its None is the last level
    CHECK(**decode_code(encode_code(*deepest).value()) == *deepest);
    CHECK(encode_code(*code_levels(k_max_value_depth)).error().code == ErrorCode::invalid_argument);
}

TEST_CASE("an array's count alone reserves no memory") {
    // 200 levels, each of which claims as many items as bytes are left.
    Bytes bytes;
    for (unsigned i = 0; i < 200; ++i) {
        bytes.insert(bytes.end(), {0x9a, 0x00, 0x00, 0xf0, 0x00});
    }
    bytes.resize(bytes.size() + 65536, 0xf6);
    CHECK(decode(bytes).error().code == ErrorCode::corrupt);
}

TEST_CASE("a document of too many items is refused") {
    cbor::Writer writer;
    writer.array(cbor::k_max_items);
    for (std::uint64_t i = 0; i < cbor::k_max_items; ++i) writer.null();
    const Result<Value> value = decode(std::move(writer).finish().value());
    REQUIRE_FALSE(value.has_value());
    CHECK(value.error().message.substr(0, 23) == "more than 4194304 items");
}

TEST_CASE("a Value that breaks the model's rules is not encoded") {
    const std::pair<Value, std::string_view> table[] = {
        {Value::str("\xff"), "a string that is not UTF-8, not even with surrogates"},
        {BigInt{false, {5}}, "an int of 64 bits, or one with leading zeros, as BigInt"},
        {BigInt{false, {0, 1, 0, 0, 0, 0, 0, 0, 0, 0}}, "an int of 64 bits, or one with leading zeros, as BigInt"},
        {Set{{Value::integer(2), Value::integer(1)}, false}, "a set that make_set has not put in order"},
        {Set{{Value::integer(1), Value::integer(1)}, false}, "a set that make_set has not put in order"},
        {Dict{{{Value::integer(1), None{}}, {Value::integer(1), None{}}}}, "a dict with equal keys"},
        {Slice{{None{}}}, "a slice or range without three parts"},
        {Range{{}}, "a slice or range without three parts"},
        {Value(CodePtr()), "a code object that is null"},
    };
    for (const auto& [value, message] : table) {
        const Result<Bytes> bytes = encode(Tuple{{value}});
        REQUIRE_FALSE(bytes.has_value());
        CHECK(bytes.error().code == ErrorCode::invalid_argument);
        CHECK(bytes.error().message == message);
    }
}
