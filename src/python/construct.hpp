// Objects that a call makes: torch.device("cpu"), a namedtuple, a combination of flags, a class method.
//
// A call is offered only after making it gave an equal object of the same type. What a package names is called only where it
// is of a kind on a closed list: types of values, and reading what a class or a module has.
//
//   if (std::optional<Construction> call = find_construction(object)) ...   // call->callee, call->args
//   Ref device = make({"torch", "device"}, args);                            // args: a tuple
//
// Thread-safety: needs the GIL. Failure: find_construction throws PythonError only when memory runs out, and a call that fails
// is none; make throws PythonError (IncompatiblePackageError).
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/value.hpp>

#include <optional>

namespace coldframe::python {

struct Construction {
    ImportRef callee;
    Ref args;  // a tuple
};

[[nodiscard]] std::optional<Construction> find_construction(PyObject* object);
[[nodiscard]] Ref make(const ImportRef& reference, PyObject* args);

}  // namespace coldframe::python
