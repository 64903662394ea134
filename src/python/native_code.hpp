// Where the machine code of a function of C lies.
//
//   std::string library = library_of(function);   // "math.cpython-311-x86_64-linux-gnu.so"
//
// Thread-safety: needs the GIL. Failure: none; empty for what is no function of C, and for what the interpreter itself defines.
#pragma once

#include <python/bridge.hpp>

#include <string>

namespace coldframe::python {

// The name of the file, without folders.
[[nodiscard]] std::string library_of(PyObject* object);

}  // namespace coldframe::python
