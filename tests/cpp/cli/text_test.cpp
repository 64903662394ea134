#include <coldframe/cli/text.hpp>
#include <coldframe/model/code_object.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <limits>
#include <sstream>

using namespace coldframe;
using namespace coldframe::cli;

TEST_CASE("printable escapes what would move the cursor or is not UTF-8") {
    CHECK(printable("plain 'text' \\ stays") == "plain 'text' \\ stays");
    CHECK(printable("\x1b[31mred\n\t\x7f") == "\\x1b[31mred\\n\\t\\x7f");
    CHECK(printable("\xc3\xa9") == "\xc3\xa9");
    CHECK(printable("\xc2\x9b") == "\\x9b");
    CHECK(printable("\xe2\x80\xae") == "\\u202e");
    CHECK(printable("\xed\xa0\x80") == "\\ud800");
    CHECK(printable("\xff\xc3") == "\\xff\\xc3");
    CHECK(printable("\xc0\xaf") == "\\xc0\\xaf");
    CHECK(printable("\xf0\x9f\x98\x80") == "\xf0\x9f\x98\x80");
    CHECK(printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");
}

TEST_CASE("repr writes values as Python would") {
    CHECK(repr(None{}) == "None");
    CHECK(repr(Value::boolean(true)) == "True");
    CHECK(repr(EllipsisValue{}) == "Ellipsis");
    CHECK(repr(Value::integer(-7)) == "-7");
    CHECK(repr(BigInt{true, {0x01, 0x00}}) == "-0x0100");
    CHECK(repr(Value::real(1.0)) == "1.0");
    CHECK(repr(Value::real(-0.0)) == "-0.0");
    CHECK(repr(Value::real(1e300)) == "1e+300");
    CHECK(repr(Value::real(-std::numeric_limits<double>::infinity())) == "-inf");
    CHECK(repr(Value::real(std::numeric_limits<double>::quiet_NaN())) == "nan");
    CHECK(repr(Complex{{std::bit_cast<std::uint64_t>(1.5)}, {0}}) == "complex(1.5, 0.0)");
    CHECK(repr(Value::str("it's\n")) == "'it\\'s\\n'");
    CHECK(repr(Bytes{'a', '\'', 0}) == "b'a\\'\\x00'");
    CHECK(repr(Bytes(40, 'x')) == "b'" + std::string(32, 'x') + "'... (40 bytes)");
    CHECK(repr(Tuple{{Value::integer(1)}}) == "(1,)");
    CHECK(repr(Tuple{}) == "()");
    CHECK(repr(List{{Value::integer(1), None{}}}) == "[1, None]");
    CHECK(repr(Dict{{{Value::str("k"), Value::integer(1)}}}) == "{'k': 1}");
    CHECK(repr(Set{}) == "set()");
    CHECK(repr(Set{{Value::integer(1)}, false}) == "{1}");
    CHECK(repr(Set{{Value::integer(1)}, true}) == "frozenset({1})");
    CHECK(repr(Set{{}, true}) == "frozenset()");
    CHECK(repr(Slice{{None{}, Value::integer(2), None{}}}) == "slice(None, 2, None)");
    CHECK(repr(Range{{Value::integer(0), Value::integer(2), Value::integer(1)}}) == "range(0, 2, 1)");
    CHECK(repr(ImportRef{"torch", "float32"}) == "torch.float32");
    CHECK(repr(ImportRef{"builtins", "int"}) == "int");
    CHECK(repr(ImportRef{"torch.nn", ""}) == "<module torch.nn>");
    CHECK(repr(Construct{{"torch", "device"}, {Value::str("cpu")}}) == "torch.device('cpu')");
    CodeFields fields;
    fields.qualname = "Net.forward";
    const auto code = std::make_shared<const CodeObject>(fields);
    CHECK(repr(code) == "<code Net.forward " + short_hex(code->digest()) + ">");
}

TEST_CASE("sizes, times and counts read well") {
    CHECK(size_text(1023) == "1023 B");
    CHECK(size_text(1536) == "1.5 KiB");
    CHECK(size_text(std::uint64_t{5} << 30U) == "5.0 GiB");
    CHECK(time_text(0) == "1970-01-01 00:00:00 UTC");
    CHECK(time_text(std::numeric_limits<std::int64_t>::max()) == "9223372036854775807");
    CHECK(count_text(1, "guard") == "1 guard");
    CHECK(count_text(0, "guard") == "0 guards");
    CHECK(hex_preview({}) == "0 bytes");
    CHECK(hex_preview({0x97, 0x00}) == "2 bytes  9700");
}

TEST_CASE("a table aligns its columns and leaves no blanks at line ends") {
    Table table(2);
    table.align_right(1);
    table.add({"a", "1", "x"});
    table.add({"long", "100", ""});
    table.add({"short row"});
    std::ostringstream out;
    table.print(out);
    CHECK(out.str() == "  a            1  x\n  long       100\n  short row\n");
}
