// What stores add to the module.
#pragma once

#include <nanobind/nanobind.h>

namespace coldframe::python {

void bind_store(nanobind::module_& m);

}  // namespace coldframe::python
