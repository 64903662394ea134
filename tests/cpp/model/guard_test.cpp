#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/value_codec.hpp>

#include <support/sample.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

// Operands that satisfy each kind: the table's shapes seen from outside.
std::vector<Value> operands_for(const GuardKindInfo& info) {
    const std::vector<Value> candidates = {Value::str("s"), Value::integer(1), Value::boolean(true), Tuple{}, List{}, Dict{}};
    std::vector<Value> operands(info.operands, Value::str("s"));
    // Tries every combination until add() takes one; at most four operands.
    std::vector<std::size_t> choice(info.operands, 0);
    for (;;) {
        for (std::size_t i = 0; i < choice.size(); ++i) operands[i] = candidates[choice[i]];
        GuardProgram program;
        if (program.add(info.kind, std::vector<NodeId>(info.min_inputs, 0), operands)) return operands;
        std::size_t digit = 0;
        while (digit < choice.size() && ++choice[digit] == candidates.size()) choice[digit++] = 0;
        REQUIRE(digit < choice.size());
    }
}

void check_refused(GuardKind kind, std::vector<NodeId> inputs, std::vector<Value> operands, std::string_view message) {
    GuardProgram program;
    const auto added = program.add(kind, std::move(inputs), std::move(operands));
    REQUIRE_FALSE(added.has_value());
    CHECK(added.error().code == ErrorCode::invalid_argument);
    CHECK(added.error().message == message);
    CHECK(program.ops().empty());
    CHECK(program.node_count() == 1);
}

}  // namespace

TEST_CASE("the table of kinds is in order and finds by number and by name") {
    std::set<std::string_view> names;
    unsigned previous = 0;
    for (const GuardKindInfo& info : guard_kinds()) {
        CHECK(static_cast<unsigned>(info.kind) > previous);
        previous = static_cast<unsigned>(info.kind);
        CHECK(names.insert(info.name).second);
        CHECK(find_guard_kind(info.kind) == &info);
        CHECK(find_guard_kind(info.name) == &info);
    }
    CHECK(guard_kinds().size() == 62);
    CHECK(find_guard_kind("nonsense") == nullptr);
    CHECK(find_guard_kind(static_cast<GuardKind>(0)) == nullptr);
    CHECK(find_guard_kind(static_cast<GuardKind>(63)) == nullptr);
    CHECK(find_guard_kind(static_cast<GuardKind>(9999)) == nullptr);
}

TEST_CASE("accessors define the next node, everything else none; every kind survives its encoding") {
    GuardProgram program;
    NodeId next = 1;
    for (const GuardKindInfo& info : guard_kinds()) {
        CAPTURE(info.name);
        const auto added = program.add(info.kind, std::vector<NodeId>(info.min_inputs, 0), operands_for(info), "source");
        REQUIRE(added.has_value());
        const bool accessor = info.role == GuardRole::accessor;
        CHECK(added->has_value() == accessor);
        if (accessor) CHECK(**added == next++);
        CHECK(program.ops().back().result == *added);
    }
    CHECK(program.node_count() == next);
    const Bytes bytes = encode_guards(program).value();
    const GuardProgram back = decode_guards(bytes).value();
    CHECK(back == program);
    CHECK(encode_guards(back).value() == bytes);
}

TEST_CASE("operands, examples, sources and explanations survive") {
    GuardProgram program = tiny_guards();
    REQUIRE(program.add(GuardKind::getattr, {1}, {Value::str("a")}, "L['x'].a", {"one", "L['x']", "one"},
                        Example{{"", ""}, false, 0, true}));
    REQUIRE(program.add(GuardKind::equals_match, {2}, {every_kind()}, "", {}));
    REQUIRE(program.add(GuardKind::no_tensor_aliasing, {1, 2, 1}, {Tuple{{Value::str("n")}}}));
    const GuardProgram back = decode_guards(encode_guards(program).value()).value();
    CHECK(back == program);
    CHECK(back.ops()[2].example->dict_length == 0);
    CHECK(decode_guards(encode_guards(GuardProgram()).value()).value() == GuardProgram());
}

TEST_CASE("an op that breaks the table is refused and changes nothing") {
    check_refused(static_cast<GuardKind>(63), {0}, {}, "no guard kind has number 63");
    check_refused(GuardKind::none_match, {}, {}, "guard kind none_match does not take 0 inputs");
    check_refused(GuardKind::none_match, {0, 0}, {}, "guard kind none_match does not take 2 inputs");
    check_refused(GuardKind::object_aliasing, {0}, {}, "guard kind object_aliasing does not take 1 inputs");
    check_refused(GuardKind::none_match, {1}, {}, "guard kind none_match reads node 1, which is not defined yet");
    check_refused(GuardKind::none_match, {0}, {None{}}, "guard kind none_match takes 0 operands, not 1");
    check_refused(GuardKind::getattr, {0}, {}, "guard kind getattr takes 1 operands, not 0");
    check_refused(GuardKind::getattr, {0}, {Value::integer(1)}, "guard kind getattr needs a str as operand 0");
    check_refused(GuardKind::length, {0}, {Value::boolean(true)}, "guard kind length needs an int as operand 0");
    check_refused(GuardKind::dict_contains, {0}, {None{}, None{}}, "guard kind dict_contains needs a bool as operand 0");
    check_refused(GuardKind::mapping_keys, {0}, {List{}}, "guard kind mapping_keys needs a tuple as operand 0");
    check_refused(GuardKind::tensor_match, {0}, {Tuple{}}, "guard kind tensor_match needs a dict as operand 0");
    check_refused(GuardKind::dimension_marking, {0}, {Dict{}, Dict{}, Dict{}},
                  "guard kind dimension_marking needs a list as operand 1");
    GuardProgram program;
    CHECK(program.add(GuardKind::none_match, {0}, {}, "", {}, Example{}).error().message ==
          "guard kind none_match yields no value to give an example of");
}

TEST_CASE("hostile guard programs are corrupt, one message for each rule") {
    const std::pair<Bytes, std::string_view> table[] = {
        {{0xa2, 0, 0x82, 0x61, 'a', 0x61, 'a', 1, 0x80}, "a string table with equal strings"},
        {{0xa2, 0, 0x81, 0x61, 'a', 1, 0x80}, "a string table with unused strings"},
        {{0xa2, 0, 0x81, 0x60, 1, 0x81, 0x86, 0x18, 73, 0x81, 0, 0x80, 1, 0x80, 0xf6},
         "a string number that is absent or out of order"},
        {{0xa2, 0, 0x82, 0x60, 0x61, 'a', 1, 0x81, 0x86, 0x18, 72, 0x81, 0, 0x80, 1, 0x81, 0, 0xf6},
         "a string number that is absent or out of order"},
        {{0xa2, 0, 0x81, 0x60, 1, 0x81, 0x86, 0x18, 63, 0x81, 0, 0x80, 0, 0x80, 0xf6}, "an unknown guard kind 63"},
        {{0xa2, 0, 0x81, 0x60, 1, 0x81, 0x86, 0x18, 73, 0x81, 1, 0x80, 0, 0x80, 0xf6},
         "guard kind none_match reads node 1, which is not defined yet"},
        {{0xa2, 0, 0x80, 1, 0x81, 0x85, 0, 0, 0, 0, 0}, "no array of 6"},
        {{0xa2, 0, 0x80, 1, 0x81, 0x86, 0x1a, 0, 1, 0, 0, 0}, "no unsigned integer in range"},
        {{0xa1, 0, 0x80}, "a structure that lacks fields"},
        {{0xa3, 0, 0x80, 1, 0x80, 2, 0x80}, "a structure with unknown fields"},
    };
    for (const auto& [bytes, message] : table) {
        const Result<GuardProgram> program = decode_guards(bytes);
        REQUIRE_FALSE(program.has_value());
        CHECK(program.error().code == ErrorCode::corrupt);
        CHECK(program.error().message.substr(0, message.size()) == message);
    }
}

TEST_CASE("a guard kind of a newer version is never skipped") {
    const Bytes newer = {0xa3, 0, 0x81, 0x60, 1, 0x81, 0x86, 0x18, 63, 0x81, 0, 0x80, 0, 0x80, 0xf6, 2, 0x80};
    CHECK(decode_guards(newer, cbor::UnknownFields::skip).error().code == ErrorCode::unsupported);
    const Bytes newer_field = {0xa3, 0, 0x80, 1, 0x80, 2, 0x80};
    CHECK(decode_guards(newer_field, cbor::UnknownFields::skip).has_value());
}

TEST_CASE("whatever byte of a program changes, what still decodes encodes to the same bytes") {
    Bytes bytes = encode_guards(tiny_guards()).value();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (unsigned value = 0; value < 256; ++value) {
            Bytes changed = bytes;
            changed[i] = static_cast<std::uint8_t>(value);
            if (const Result<GuardProgram> program = decode_guards(changed)) CHECK(encode_guards(*program).value() == changed);
        }
        CHECK_FALSE(decode_guards(ByteView(bytes).first(i)).has_value());
    }
}
