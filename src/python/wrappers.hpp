// The Python classes that stand for parts of the model inside values: ImportRef, Construct and CodeObject.
//
// The binding owns these classes, so module.cpp defines the functions; the codecs use them without knowing the binding tool.
//
//   Ref reference = wrap(ImportRef{"torch", "float32"});
//   if (const ImportRef* found = unwrap_import_ref(object)) ...
//
// Thread-safety: needs the GIL. Failure: PythonError from wrap; the unwrap functions yield null for other objects.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/code_object.hpp>

namespace coldframe::python {

[[nodiscard]] Ref wrap(const ImportRef& reference);
[[nodiscard]] Ref wrap(const Construct& construct);
[[nodiscard]] Ref wrap(const CodePtr& code);

// Valid while the object is.
[[nodiscard]] const ImportRef* unwrap_import_ref(PyObject* object);
[[nodiscard]] const Construct* unwrap_construct(PyObject* object);
[[nodiscard]] CodePtr unwrap_code(PyObject* object);

}  // namespace coldframe::python
