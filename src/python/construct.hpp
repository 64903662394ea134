// Objects that a call makes: torch.device("cpu"), a namedtuple, a combination of flags, a class method.
//
// A call is offered only after making it gave an equal object of the same type.
//
//   if (std::optional<Construction> call = find_construction(object)) ...   // call->callee, call->args
//
// Thread-safety: needs the GIL. Failure: PythonError only when memory runs out; a call that fails is none.
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

}  // namespace coldframe::python
