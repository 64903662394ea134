// An Environment as a Python dict of its fields by name, and back.
//
//   Ref dict = environment_to_dict(package.environment);        // references in the settings kept
//   package.environment = environment_from_dict(dict.get());    // absent fields stay empty
//
// Thread-safety: needs the GIL. Failure: PythonError: InvalidArgumentError for an unknown field or a field of the wrong type.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/package.hpp>

namespace coldframe::python {

[[nodiscard]] Ref environment_to_dict(const Environment& environment);
[[nodiscard]] Environment environment_from_dict(PyObject* dict);

// Dicts with str keys: what adapters keep in a package.
[[nodiscard]] Value to_dict_value(PyObject* mapping, std::string_view root);

}  // namespace coldframe::python
