// Packages for tests: a tiny one, small enough to flip every bit of it, and one in which every field and kind occurs.
#pragma once

#include <coldframe/model/package.hpp>
#include <coldframe/model/value_codec.hpp>

#include <string>
#include <string_view>

namespace coldframe::testing {

Digest digest_of(std::string_view text);
Bytes bytes_of(std::string_view text);
Bytes joined(Bytes first, const Bytes& second);

CodeFields tiny_code_fields();
CodePtr make_code(CodeFields fields);
CodePtr code_named(const std::string& name);
GuardProgram tiny_guards(const std::string& attribute = "x");
Package tiny_package();

// Every kind of Value once, at some depth.
Value every_kind();
// Every field set, several of everything, and a blob that compresses.
Package full_package();

// Field by field; pointers by what they point to, blobs by name and content.
void check_equal(const Package& left, const Package& right);

}  // namespace coldframe::testing
