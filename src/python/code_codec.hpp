// Code objects as CodeObjects, and back.
//
// Both ways are memoised without keeping anything alive: a code object carries its CodeObject in a slot that CPython frees
// with it (co_extra), and a table leads from a CodeObject to its living code object, whose slot removes it. So
// to_code(from_code(code)) is `code`, and to_code of one CodeObject gives one code object as long as that lives.
//
//   CodePtr code = from_code(object);
//   Ref again = to_code(code);
//
// Thread-safety: needs the GIL. Failure: PythonError: NotPortableError for a constant that no Value can hold,
// InvalidArgumentError for wrong fields, IncompatiblePackageError for fields of which this Python makes no code object.
#pragma once

#include <python/object_codec.hpp>

namespace coldframe::python {

[[nodiscard]] CodePtr from_code(PyObject* code);
[[nodiscard]] CodePtr from_code(const Place& place);
[[nodiscard]] Ref to_code(const CodePtr& code);

// What a package holds of a code object (see without_directories), memoised too: to_code of that gives the code itself, or
// what was made of it here, as long as it lives.
[[nodiscard]] CodePtr portable_code(PyObject* code);
void lives_as(const CodePtr& portable, PyObject* code);

// The code with None for a docstring that no instruction loads; `code` itself where there is none. Docstrings of nested
// functions stay: the function may read them when it has made those.
[[nodiscard]] CodePtr without_docstring(const CodePtr& code);

// The co_* fields by name, without the prefix; nested code as instances of CodeObject, references kept.
[[nodiscard]] Ref code_fields(const CodeObject& code);
// All fields when `base` is null, else some that replace those of `base`.
[[nodiscard]] CodePtr code_from_fields(PyObject* fields, const CodeObject* base);

}  // namespace coldframe::python
