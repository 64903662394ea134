#include <coldframe/model/value_codec.hpp>

#include <support/sample.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::testing;

TEST_CASE("values are equal exactly: kind, bits and order") {
    const std::vector<Value> distinct = {
        Value::integer(1),
        Value::boolean(true),
        Value::real(1.0),
        Value::str("1"),
        Bytes{'1'},
        Value::real(0.0),
        Value::real(-0.0),
        Float{0x7ff8000000000001},
        Float{0x7ff8000000000002},
        Complex{{0}, {0}},
        Complex{{0}, {0x8000000000000000}},
        None{},
        EllipsisValue{},
        Tuple{},
        List{},
        Dict{},
        Set{{}, false},
        Set{{}, true},
        Tuple{{Value::integer(1), Value::integer(2)}},
        Tuple{{Value::integer(2), Value::integer(1)}},
        Tuple{{Value::integer(1)}},
        ImportRef{"a", "b"},
        ImportRef{"a.b", ""},
        Construct{{"a", "b"}, {}},
        Construct{{"a", "b"}, {None{}}},
        Slice{{None{}, None{}, None{}}},
        Range{{None{}, None{}, None{}}},
        BigInt{false, Bytes(9, 1)},
        BigInt{true, Bytes(9, 1)},
        Dict{{{Value::integer(1), None{}}, {Value::integer(2), None{}}}},
        Dict{{{Value::integer(2), None{}}, {Value::integer(1), None{}}}},
        Value(code_named("a")),
        Value(code_named("b")),
    };
    for (std::size_t i = 0; i < distinct.size(); ++i) {
        for (std::size_t k = 0; k < distinct.size(); ++k) {
            CAPTURE(i);
            CAPTURE(k);
            CHECK((distinct[i] == distinct[k]) == (i == k));
        }
    }
    CHECK(every_kind() == every_kind());
}

TEST_CASE("values are compared however deep they nest") {
    const auto nested = [] {
        Value value = Value::integer(7);
        for (int i = 0; i < 4 * static_cast<int>(k_max_value_depth); ++i) {
            Tuple outer;
            outer.items.push_back(std::move(value));
            value = std::move(outer);
        }
        return value;
    };
    CHECK(nested() == nested());
    CHECK_FALSE(nested() == Value(Tuple{{nested()}}));
}

TEST_CASE("code objects are equal by content, in constants too") {
    const auto nested = [](const std::string& name) {
        CodeFields fields = tiny_code_fields();
        fields.consts = {Value(code_named(name))};
        return make_code(fields);
    };
    CHECK(Value(nested("a")) == Value(nested("a")));
    CHECK_FALSE(Value(nested("a")) == Value(nested("b")));
    CHECK(*nested("a") == *nested("a"));
    CHECK_FALSE(Value(CodePtr()) == Value(nested("a")));
}

TEST_CASE("make_integer picks the one form that an int has") {
    CHECK(make_integer(false, {}) == Value::integer(0));
    CHECK(make_integer(true, {0, 0}) == Value::integer(0));
    CHECK(make_integer(true, {5}) == Value::integer(-5));
    CHECK(make_integer(false, {0, 0x7f, 255, 255, 255, 255, 255, 255, 255}) == Value::integer(INT64_MAX));
    CHECK(make_integer(true, {0x80, 0, 0, 0, 0, 0, 0, 0}) == Value::integer(INT64_MIN));
    CHECK(make_integer(false, {0x80, 0, 0, 0, 0, 0, 0, 0}) == Value(BigInt{false, {0x80, 0, 0, 0, 0, 0, 0, 0}}));
    CHECK(make_integer(true, {0, 1, 0, 0, 0, 0, 0, 0, 0, 0}) == Value(BigInt{true, {1, 0, 0, 0, 0, 0, 0, 0, 0}}));
}

TEST_CASE("make_set gives one form to one set") {
    const Value one = make_set({Value::integer(300), Value::integer(1), Value::str("a"), Value::integer(1)}, true).value();
    const Value other = make_set({Value::str("a"), Value::integer(1), Value::integer(300)}, true).value();
    CHECK(one == other);
    CHECK(one.get_if<Set>()->items.size() == 3);
    CHECK(make_set({Value::str("\xff")}, false).error().code == ErrorCode::invalid_argument);
}
