// The __call__ of a class of modules, without a Python frame.
//
//   ModuleCall(key, own, others, call)     calls what the instance has in its dict under `key`; or else, where one of the dicts
//                                          `others`, or of those that the instance has under the names `own`, is not empty,
//                                          or where it has a forward of its own,
//                                          call(instance, ...), which is also what the attribute __call__ is
//
// Thread-safety: the GIL. Failure: what the called object raises.
#pragma once

#include <python/bridge.hpp>

namespace coldframe::python {

// A new reference to the type.
[[nodiscard]] Ref make_module_call_type();

}  // namespace coldframe::python
