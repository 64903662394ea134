#include <coldframe/model/value_codec.hpp>

#include <support/sample.hpp>

#include <doctest/doctest.h>

#include <functional>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

using Change = std::function<void(CodeFields&)>;

const std::vector<Change> k_semantic_changes = {
    [](CodeFields& f) { f.argcount = 9; },
    [](CodeFields& f) { f.posonlyargcount = 9; },
    [](CodeFields& f) { f.kwonlyargcount = 9; },
    [](CodeFields& f) { f.nlocals = 9; },
    [](CodeFields& f) { f.stacksize = 9; },
    [](CodeFields& f) { f.flags = 9; },
    [](CodeFields& f) { f.code.push_back(9); },
    [](CodeFields& f) { f.consts.push_back(Value::integer(9)); },
    [](CodeFields& f) { f.names.push_back("n"); },
    [](CodeFields& f) { f.varnames.push_back("n"); },
    [](CodeFields& f) { f.freevars.push_back("n"); },
    [](CodeFields& f) { f.cellvars.push_back("n"); },
    [](CodeFields& f) { f.name = "other"; },
    [](CodeFields& f) { f.qualname = "other"; },
    [](CodeFields& f) { f.exceptiontable.push_back(9); },
};

const std::vector<Change> k_cosmetic_changes = {
    [](CodeFields& f) { f.filename = "other.py"; },
    [](CodeFields& f) { f.firstlineno = 9; },
    [](CodeFields& f) { f.linetable.push_back(9); },
};

CodePtr changed(const Change& change) {
    CodeFields fields = tiny_code_fields();
    change(fields);
    return make_code(std::move(fields));
}

CodePtr around(const CodePtr& inner) {
    CodeFields fields = tiny_code_fields();
    fields.consts = {Tuple{{Value(inner)}}};
    return make_code(std::move(fields));
}

}  // namespace

TEST_CASE("every field counts for equality and for the digest") {
    const CodePtr code = make_code(tiny_code_fields());
    for (const auto& changes : {k_semantic_changes, k_cosmetic_changes}) {
        for (const Change& change : changes) {
            CHECK_FALSE(*changed(change) == *code);
            CHECK(changed(change)->digest() != code->digest());
            CHECK(around(changed(change))->digest() != around(code)->digest());
        }
    }
    CHECK(make_code(tiny_code_fields())->digest() == code->digest());
}

TEST_CASE("the semantic digest leaves out file, line and position, in nested code too, and nothing else") {
    const CodePtr code = make_code(tiny_code_fields());
    for (const Change& change : k_cosmetic_changes) {
        CHECK(changed(change)->semantic_digest() == code->semantic_digest());
        CHECK(around(changed(change))->semantic_digest() == around(code)->semantic_digest());
    }
    for (const Change& change : k_semantic_changes) {
        CHECK(changed(change)->semantic_digest() != code->semantic_digest());
        CHECK(around(changed(change))->semantic_digest() != around(code)->semantic_digest());
    }
    CHECK(code->semantic_digest() != code->digest());
}

TEST_CASE("without directories the files of a code and of what is nested in it go by their last part") {
    const auto at = [](const std::string& outer, const std::string& inner) {
        CodeFields nested = tiny_code_fields();
        nested.filename = inner;
        CodeFields fields = tiny_code_fields();
        fields.filename = outer;
        fields.consts = {None{}, make_code(std::move(nested))};
        return make_code(std::move(fields));
    };
    const CodePtr code = at("f.py", "g.py");
    CHECK(without_directories(at("/home/me/f.py", "a/g.py"))->digest() == code->digest());
    CHECK(without_directories(at("f.py", "/g.py"))->digest() == code->digest());
    CHECK(without_directories(code) == code);
    const CodePtr no_file = at("<string>", "<doctest a/b.py[0]>");
    CHECK(without_directories(no_file) == no_file);
}

TEST_CASE("the digest is that of the encoding") {
    const CodePtr code = around(code_named("inner"));
    CHECK(code->digest() == sha256(encode_code(*code).value()));
    CHECK(encode_code(*code).value() == encode(Value(code)).value());
}

TEST_CASE("a code object comes back field by field") {
    CodeFields fields = tiny_code_fields();
    fields.posonlyargcount = 1;
    fields.kwonlyargcount = 2;
    fields.names = {"a", "b"};
    fields.freevars = {"free"};
    fields.cellvars = {"cell"};
    fields.exceptiontable = {1, 2};
    fields.filename = "\xed\xb2\x80.py";  // a file name that is not UTF-8, as os.fsdecode gives it
    fields.consts = {every_kind()};
    const CodePtr back = decode_code(encode_code(CodeObject(fields)).value()).value();
    CHECK(back->fields() == fields);
}

TEST_CASE("decode_code takes nothing but a code object") {
    const Result<CodePtr> code = decode_code(encode(Value::integer(1)).value());
    REQUIRE_FALSE(code.has_value());
    CHECK(code.error().code == ErrorCode::corrupt);
    CHECK(code.error().message.starts_with("a value that is no code object"));
}

TEST_CASE("a newer minor version may add fields to code objects, but no kinds of values") {
    Bytes bytes = encode_code(*make_code(tiny_code_fields())).value();
    REQUIRE(bytes[3] == 0xb2);
    bytes[3] = 0xb3;
    bytes.insert(bytes.end(), {18, 0xf6});
    CHECK(decode_code(bytes, cbor::UnknownFields::skip).has_value());
    CHECK(decode_code(bytes).error().code == ErrorCode::corrupt);
    const Bytes unknown_tag = {0xd9, 0xcf, 0x50, 0xf6};
    CHECK(decode_code(unknown_tag, cbor::UnknownFields::skip).error().code == ErrorCode::unsupported);
    CHECK(decode_code(unknown_tag).error().code == ErrorCode::corrupt);
}

TEST_CASE("code that cannot be encoded has a digest that no other code has") {
    CodeFields fields = tiny_code_fields();
    fields.name = "\xff";
    const CodePtr code = make_code(fields);
    CHECK(encode_code(*code).error().code == ErrorCode::invalid_argument);
    CHECK(code->digest() == Digest{});
    CHECK(code->semantic_digest() == Digest{});
}
