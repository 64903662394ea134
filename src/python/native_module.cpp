// The native call path as Python sees it.
#include <python/dispatcher.hpp>
#include <python/guard_engine.hpp>
#include <python/native_module.hpp>

namespace nb = nanobind;
using namespace nb::literals;

namespace coldframe::python {
namespace {

// Py_ssize_t: the number of the first step that refuses, or -1.
std::ptrdiff_t check_guards(const nb::sequence& steps, const nb::tuple& names, const nb::tuple& values,
                            const nb::dict& globals) {
    const GuardEngine engine(steps.ptr());
    std::vector<PyObject*> locals;
    for (const nb::handle value : values) locals.push_back(value.ptr());
    if (nb::len(names) != locals.size()) raise(PyExc_ValueError, "as many names as values are expected");
    return engine.check({locals, names.ptr(), globals.ptr()});
}

}  // namespace

void bind_native(nb::module_& m) {
    m.attr("Dispatcher") = nb::steal(make_dispatcher_type().release());
    m.attr("GUARD_OPERATIONS") = nb::steal(guard_operations().release());
    m.def("check_guards", &check_guards, "steps"_a, "names"_a, "values"_a, "namespace"_a);
}

}  // namespace coldframe::python
