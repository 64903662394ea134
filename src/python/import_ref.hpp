// Objects by name: finding the name that yields exactly an object, and the object that a name yields.
//
// A name is offered only after walking it gave the very same object, so a function whose decorator lies about its name is
// found under another one (say `f.__wrapped__`) or not at all. Finding looks only at modules that are imported already.
//
//   Result<ImportRef> name = find_import_ref(object);        // not_portable; the message is the reason
//   Ref object = resolve({"torch", "ops.aten.add.Tensor"});  // imports the module
//
// Thread-safety: needs the GIL. Failure: find_import_ref yields an Error and leaves no Python error set; resolve throws
// PythonError (IncompatiblePackageError).
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/value.hpp>

namespace coldframe::python {

[[nodiscard]] Result<ImportRef> find_import_ref(PyObject* object);
[[nodiscard]] Ref resolve(const ImportRef& reference);
// Whether the name yields this very object; imports nothing.
[[nodiscard]] bool yields(const ImportRef& reference, PyObject* object);

// An enum.Enum class or one that pybind11 has made of an enumeration of C++, and a member of one.
[[nodiscard]] bool is_enum_class(PyObject* object);
[[nodiscard]] bool is_enum_member(PyObject* object);

}  // namespace coldframe::python
