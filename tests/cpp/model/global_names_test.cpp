#include <coldframe/model/global_names.hpp>

#include <doctest/doctest.h>

using namespace coldframe;

namespace {

Value expression(const std::string& name) {
    Value of = Tuple{{Value::str("name"), Value::str("G")}};
    Value key = Tuple{{Value::str("const"), Value::str(name)}};
    return Tuple{{Value::str("item"), std::move(of), std::move(key)}};
}

CodePtr code_of(std::vector<std::string> names, std::vector<Value> consts) {
    CodeFields fields;
    fields.names = std::move(names);
    fields.consts = std::move(consts);
    return std::make_shared<const CodeObject>(std::move(fields));
}

// One op of each kind that names a global, with texts that do, too.
GuardProgram program_over(const std::string& name) {
    GuardProgram program;
    const NodeId globals = **program.add(GuardKind::globals_dict, {0}, {}, "G");
    const NodeId item = **program.add(GuardKind::dict_getitem, {globals}, {Value::str(name)}, "G['" + name + "']");
    REQUIRE(program.add(GuardKind::dict_getitem, {item}, {Value::str("__seed_1")}));
    REQUIRE(program.add(GuardKind::global_weakref, {0}, {Value::str(name)}));
    REQUIRE(
        program.add(GuardKind::expression, {}, {Tuple{{expression(name), Value::str(name)}}}, "", {"x == " + name + "[0]"}));
    Value checks = Dict{{{Value::str("distinct"), List{{expression(name)}}}, {Value::str("__seed_1"), Value::integer(1)}}};
    REQUIRE(program.add(GuardKind::named_check, {0}, {Value::str("premises"), Tuple{{std::move(checks)}}}));
    return program;
}

}  // namespace

TEST_CASE("globals get other names in code, and in the code within it; nothing else does") {
    const CodePtr inner = code_of({"__seed_1", "sin"}, {Value::str("__seed_1")});
    const CodePtr renamed = rename_globals(code_of({"f", "__seed_1"}, {inner}), {{"__seed_1", "__ours"}, {"f", "f"}});
    CHECK(renamed->fields().names == std::vector<std::string>{"f", "__ours"});
    const CodePtr* within = renamed->fields().consts[0].get_if<CodePtr>();
    REQUIRE(within != nullptr);
    CHECK(**within == *code_of({"__ours", "sin"}, {Value::str("__seed_1")}));
}

TEST_CASE("globals get other names in guards: in operands, in expressions within them, and in texts") {
    const Result<GuardProgram> renamed = rename_globals(program_over("__seed_1"), {{"__seed_1", "__ours"}, {"other", "x"}});
    REQUIRE(renamed);
    CHECK(global_names(*renamed) == std::set<std::string>{"__ours"});
    CHECK(renamed->ops()[1].source == "G['__ours']");
    CHECK(renamed->ops()[2].operands[0] == Value::str("__seed_1"));  // an item of something else
    CHECK(renamed->ops()[4].operands[0] == Value(Tuple{{expression("__ours"), Value::str("__seed_1")}}));
    CHECK(renamed->ops()[4].explanations == std::vector<std::string>{"x == __ours[0]"});
    CHECK(*rename_globals(*renamed, {{"__ours", "__seed_1"}}) == program_over("__seed_1"));
}

TEST_CASE("a name that only begins as a renamed one does stays, in texts as well") {
    GuardProgram program;
    REQUIRE(program.add(GuardKind::none_match, {0}, {}, "a__seed_1 __seed_12 ___seed_1"));
    CHECK(rename_globals(program, {{"__seed_1", "__ours"}})->ops()[0].source == "a__ours __seed_12 ___seed_1");
}
