// Numbers that tell whether the content of a dict is still what it was.
//
//   DictVersion version = dict_version(dict);    // null: this dict cannot be followed
//   const std::uint64_t before = *version;
//   *version == before                           // no entry was added, changed or removed since
//
// Up to CPython 3.11 the dict's own version tag, which lies in the dict and lives as long as it does. From 3.12 on a counter of
// ours, kept by a dict watcher and living as long as somebody holds it: 0 once the dict has died, which it never is before.
// Thread-safety: needs the GIL; there is none without it.
#pragma once

#include <python/bridge.hpp>

#include <cstdint>
#include <memory>

namespace coldframe::python {

using DictVersion = std::shared_ptr<const std::uint64_t>;

[[nodiscard]] DictVersion dict_version(PyObject* dict);

}  // namespace coldframe::python
