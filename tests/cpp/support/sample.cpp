#include <support/sample.hpp>

#include <doctest/doctest.h>

#include <memory>

namespace coldframe::testing {

Digest digest_of(std::string_view text) { return sha256({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}); }

Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

Bytes joined(Bytes first, const Bytes& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

CodeFields tiny_code_fields() {
    CodeFields fields;
    fields.argcount = 1;
    fields.nlocals = 1;
    fields.stacksize = 2;
    fields.flags = 3;
    fields.code = {0x97, 0x00, 0x7c, 0x00, 0x53, 0x00};
    fields.consts = {Value()};
    fields.varnames = {"x"};
    fields.filename = "m.py";
    fields.name = "f";
    fields.qualname = "f";
    fields.firstlineno = 1;
    fields.linetable = {0x80, 0x00};
    return fields;
}

CodePtr make_code(CodeFields fields) { return std::make_shared<CodeObject>(std::move(fields)); }

CodePtr code_named(const std::string& name) {
    CodeFields fields = tiny_code_fields();
    fields.name = name;
    fields.qualname = name;
    return make_code(std::move(fields));
}

GuardProgram tiny_guards(const std::string& attribute) {
    GuardProgram guards;
    const auto node = guards.add(GuardKind::framelocals, {0}, {Value::str(attribute), Value::integer(0)},
                                 "L['" + attribute + "']", {}, Example{{"builtins", "int"}, true, std::nullopt, false});
    REQUIRE(node.has_value());
    REQUIRE(guards.add(GuardKind::equals_match, {**node}, {Value::integer(3)}, "L['" + attribute + "']",
                       {"L['" + attribute + "'] == 3"}));
    return guards;
}

Package tiny_package() {
    Package package;
    package.key = {"m", "f", digest_of("code"), digest_of("options")};
    package.environment.python_implementation = "cpython";
    package.environment.python_version = "3.11.2";
    auto entry = std::make_shared<CodeEntry>();
    entry->python_code = make_code(tiny_code_fields());
    entry->module = "m";
    entry->function_names = {"f"};
    entry->backend_ids = {"graph_0"};
    auto guarded = std::make_shared<GuardedCode>();
    guarded->guards = tiny_guards();
    guarded->dynamo_code = code_named("f_compiled");
    guarded->backend_ids = {"graph_0"};
    guarded->compile_seconds = 1.5;
    entry->guarded_codes.push_back(guarded);
    package.codes.push_back(entry);
    auto artifact = std::make_shared<Artifact>();
    artifact->backend_id = "graph_0";
    artifact->kind = "precompile_eager";
    artifact->recipe = Tuple{{Value::str("graph")}};
    artifact->blobs = {make_blob("graph", bytes_of("sixteen bytes ..")), make_blob("again", bytes_of("sixteen bytes .."))};
    package.artifacts.push_back(artifact);
    package.producer = "coldframe 0.1.0";
    package.created = 1700000000;
    package.compile_seconds = 1.5;
    return package;
}

Value every_kind() {
    CodeFields outer = tiny_code_fields();
    outer.consts = {Value(code_named("inner")), Value::str("doc")};
    outer.freevars = {"free"};
    outer.cellvars = {"cell"};
    const Value set = make_set({Value::integer(2), Value::integer(1)}, false).value();
    const Value frozen = make_set({Value::str("b"), Value::str("a")}, true).value();
    return Tuple{{
        None{},
        EllipsisValue{},
        Value::boolean(true),
        Value::boolean(false),
        Value::integer(0),
        Value::integer(-1),
        Value::integer(INT64_MAX),
        Value::integer(INT64_MIN),
        BigInt{false, {0x80, 0, 0, 0, 0, 0, 0, 0}},
        BigInt{true, {0x80, 0, 0, 0, 0, 0, 0, 1}},
        BigInt{true, {1, 0, 0, 0, 0, 0, 0, 0, 0}},
        BigInt{false, Bytes(40, 0xff)},
        Float{0x8000000000000000},
        Float{0x7ff8000000000001},
        Float{0xfff0000000000000},
        Complex{{0x8000000000000000}, {0x7ff4000000000000}},
        Value::str(""),
        Value::str("h\xc3\xa9"),
        Value::str("\xed\xb2\x80"),
        Bytes{},
        Bytes{0, 255},
        Tuple{},
        List{{Value::integer(1)}},
        Dict{{{Value::str("z"), Value::integer(1)}, {Value::str("a"), List{}}}},
        set,
        frozen,
        Slice{{None{}, Value::integer(1), None{}}},
        Range{{Value::integer(0), Value::integer(9), Value::integer(2)}},
        Value(make_code(outer)),
        ImportRef{"torch", "float32"},
        ImportRef{"sys", ""},
        Construct{{"torch", "device"}, {Value::str("cpu")}},
    }};
}

Package full_package() {
    Package package = tiny_package();
    Environment& environment = package.environment;
    environment = {"cpython",
                   "3.11.2",
                   "a70d0d0a",
                   "cpython-311-x86_64-linux-gnu",
                   "2.13.0",
                   "abcdef",
                   "cpu",
                   "x86_64",
                   "glibc 2.36",
                   {"avx2", "fma"},
                   {{"name", "none"}, {"b", "longer key first"}},
                   {}};
    environment.settings = {{"inductor.cpp.threads", Value::integer(1)}, {"z", every_kind()}};
    auto source = std::make_shared<SourceFile>();
    *source = {"m", "/somewhere/m.py", digest_of("file"), {{"f", digest_of("f"), 1, 2}, {"C.g", digest_of("g"), 4, 9}}};
    package.sources = {source};
    CodeEntry& entry = *package.codes[0];
    entry.import_sources = {{"__import_torch", "torch"}, {"a", "aliased"}};
    entry.installed_globals = {{"g2", Value::integer(2)}, {"g1", every_kind()}};
    entry.guarded_codes[0]->details = Dict{{{Value::str("note"), every_kind()}}};
    auto second = std::make_shared<GuardedCode>(*entry.guarded_codes[0]);
    second->guards = tiny_guards("y");
    entry.guarded_codes.push_back(second);
    auto bypassed = std::make_shared<CodeEntry>();
    bypassed->python_code = code_named("g");
    bypassed->module = "m";
    bypassed->role = CodeRole::user_function;
    bypassed->code_source = "C.g";
    bypassed->bypassed = true;
    bypassed->bypass_reason = "no reason";
    bypassed->skipped = true;
    package.codes.push_back(bypassed);
    auto artifact = std::make_shared<Artifact>();
    artifact->backend_id = "graph_1";
    artifact->kind = "inductor_native";
    artifact->recipe = every_kind();
    Bytes large(100000);
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::uint8_t>(i / 100);
    artifact->blobs = {make_blob("kernel.so", large), make_blob("empty", {})};
    package.artifacts.push_back(artifact);
    return package;
}

void check_equal(const Package& left, const Package& right) {
    CHECK(left.key == right.key);
    CHECK(left.environment == right.environment);
    CHECK(left.producer == right.producer);
    CHECK(left.created == right.created);
    CHECK(left.compile_seconds == right.compile_seconds);
    REQUIRE(left.sources.size() == right.sources.size());
    for (std::size_t i = 0; i < left.sources.size(); ++i) CHECK(*left.sources[i] == *right.sources[i]);
    REQUIRE(left.codes.size() == right.codes.size());
    for (std::size_t i = 0; i < left.codes.size(); ++i) {
        const CodeEntry& a = *left.codes[i];
        const CodeEntry& b = *right.codes[i];
        CHECK(*a.python_code == *b.python_code);
        CHECK(a.module == b.module);
        CHECK(a.role == b.role);
        CHECK(a.function_names == b.function_names);
        CHECK(a.code_source == b.code_source);
        CHECK(a.import_sources == b.import_sources);
        CHECK(a.installed_globals == b.installed_globals);
        CHECK(a.backend_ids == b.backend_ids);
        CHECK(a.bypassed == b.bypassed);
        CHECK(a.bypass_reason == b.bypass_reason);
        CHECK(a.skipped == b.skipped);
        REQUIRE(a.guarded_codes.size() == b.guarded_codes.size());
        for (std::size_t k = 0; k < a.guarded_codes.size(); ++k) {
            CHECK(*a.guarded_codes[k] == *b.guarded_codes[k]);
            CHECK(a.guarded_codes[k]->compile_seconds == b.guarded_codes[k]->compile_seconds);
        }
    }
    REQUIRE(left.artifacts.size() == right.artifacts.size());
    for (std::size_t i = 0; i < left.artifacts.size(); ++i) {
        const Artifact& a = *left.artifacts[i];
        const Artifact& b = *right.artifacts[i];
        CHECK(a.backend_id == b.backend_id);
        CHECK(a.kind == b.kind);
        CHECK(a.recipe == b.recipe);
        REQUIRE(a.blobs.size() == b.blobs.size());
        for (std::size_t k = 0; k < a.blobs.size(); ++k) {
            CHECK(a.blobs[k]->name() == b.blobs[k]->name());
            CHECK(a.blobs[k]->size() == b.blobs[k]->size());
            CHECK(a.blobs[k]->digest() == b.blobs[k]->digest());
            CHECK(a.blobs[k]->read().value() == b.blobs[k]->read().value());
        }
    }
}

}  // namespace coldframe::testing
