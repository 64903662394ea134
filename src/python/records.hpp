// Parts of a package as plain Python objects, and back: the environment, installed globals, digests, code roles.
//
//   Ref dict = environment_to_dict(package.environment);        // references in the settings kept
//   package.environment = environment_from_dict(dict.get());    // absent fields stay empty
//
// Thread-safety: needs the GIL. Failure: PythonError: InvalidArgumentError for what has the wrong name, type or size.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/package.hpp>

namespace coldframe::python {

[[nodiscard]] Ref environment_to_dict(const Environment& environment);
[[nodiscard]] Environment environment_from_dict(PyObject* dict);

[[nodiscard]] Ref globals_to_dict(const std::vector<InstalledGlobal>& globals);
[[nodiscard]] std::vector<InstalledGlobal> globals_from_dict(PyObject* dict);

[[nodiscard]] Digest to_digest(PyObject* bytes);

[[nodiscard]] std::string_view name_of(CodeRole role);
[[nodiscard]] CodeRole to_code_role(std::string_view name);

// A copy that nothing changes while it is written without the GIL.
[[nodiscard]] Package snapshot(const Package& package);

// Dicts with str keys: what adapters keep in a package.
[[nodiscard]] Value to_dict_value(PyObject* mapping, std::string_view root);

}  // namespace coldframe::python
