// What the native call path adds to the module.
#pragma once

#include <nanobind/nanobind.h>

namespace coldframe::python {

void bind_native(nanobind::module_& m);

}  // namespace coldframe::python
