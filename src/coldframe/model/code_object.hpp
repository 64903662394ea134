// A CPython code object, field by field.
//
// Holds every co_* field that the constructor of the running CPython takes, so that from_code and to_code lose nothing.
// Two digests: `digest` covers everything; `semantic_digest` leaves out what moving or commenting the source changes (file
// name, first line, line and position tables), in nested code too.
//
//   std::shared_ptr<const CodeObject> code = ...;
//   CodePtr recorded = without_directories(code);    // what a package holds of it
//   if (recorded->semantic_digest() != code->semantic_digest()) ...   // the function's behaviour may have changed
//
// Thread-safety: immutable once shared; the digests are computed once, under std::call_once. Failure: none.
#pragma once

#include <coldframe/model/value.hpp>
#include <coldframe/util/digest.hpp>

#include <mutex>
#include <string>
#include <vector>

namespace coldframe {

struct CodeFields {
    std::int64_t argcount = 0;
    std::int64_t posonlyargcount = 0;
    std::int64_t kwonlyargcount = 0;
    std::int64_t nlocals = 0;
    std::int64_t stacksize = 0;
    std::int64_t flags = 0;
    Bytes code;  // PyCode_GetCode: never the adaptive bytes
    std::vector<Value> consts;
    std::vector<std::string> names;
    std::vector<std::string> varnames;
    std::string filename;
    std::string name;
    std::string qualname;
    std::int64_t firstlineno = 0;
    Bytes linetable;
    Bytes exceptiontable;
    std::vector<std::string> freevars;
    std::vector<std::string> cellvars;
    bool operator==(const CodeFields&) const = default;
};

class CodeObject {
   public:
    explicit CodeObject(CodeFields fields) : fields_(std::move(fields)) {}
    CodeObject(const CodeObject&) = delete;
    CodeObject& operator=(const CodeObject&) = delete;

    [[nodiscard]] const CodeFields& fields() const { return fields_; }
    [[nodiscard]] const Digest& digest() const;
    [[nodiscard]] const Digest& semantic_digest() const;
    bool operator==(const CodeObject& other) const { return fields_ == other.fields_; }

   private:
    CodeFields fields_;
    mutable std::once_flag digest_once_;
    mutable std::once_flag semantic_once_;
    mutable Digest digest_{};
    mutable Digest semantic_digest_{};
};

using CodePtr = std::shared_ptr<const CodeObject>;

// The code with the last part of each path for a file name, in nested code too; `code` itself where that is so already.
[[nodiscard]] CodePtr without_directories(const CodePtr& code);

}  // namespace coldframe
