// The native call path as Python sees it.
#include <python/dispatcher.hpp>
#include <python/frame_listener.hpp>
#include <python/guard_engine.hpp>
#include <python/guard_handles.hpp>
#include <python/guard_lowering.hpp>
#include <python/held_functions.hpp>
#include <python/module_call.hpp>
#include <python/native_code.hpp>
#include <python/native_module.hpp>

namespace nb = nanobind;
using namespace nb::literals;

namespace coldframe::python {
namespace {

std::ptrdiff_t check_guards(GuardEngine& engine, const nb::tuple& names, const nb::tuple& values, const nb::dict& globals) {
    std::vector<PyObject*> locals;
    for (const nb::handle value : values) locals.push_back(value.ptr());
    if (nb::len(names) != locals.size()) raise(PyExc_ValueError, "as many names as values are expected");
    GuardPins pins;
    return engine.check({locals, names.ptr(), globals.ptr()}, pins).refused;
}

nb::object lower(const ProgramHandle& program, const nb::tuple& names, const nb::set& lazy, nb::handle rare,
                 const nb::list& before) {
    const LoweringContext context{names.ptr(), lazy.ptr(), rare.ptr()};
    return nb::steal(lower_guards(*program.program, context, before.ptr()).release());
}

// As object.__setattr__ of an object whose class has no descriptor of that name.
void set_in_instance_dict(const nb::handle& object, const nb::handle& name, const nb::handle& value) {
    const Ref dict = owned(PyObject_GenericGetDict(object.ptr(), nullptr));
    check(PyDict_SetItem(dict.get(), name.ptr(), value.ptr()));
}

Beginnings beginnings(const nb::dict& given, bool otherwise) {
    std::vector<Beginnings::Beginning> found;
    for (const auto& [text, has] : given) found.push_back({to_utf8(text.ptr()), nb::cast<bool>(has)});
    return {std::move(found), otherwise};
}

nb::list held_functions(const nb::dict& files, const nb::dict& modules) {
    const Beginnings of_program = beginnings(files, true);
    const Beginnings of_torch = beginnings(modules, false);
    return nb::steal<nb::list>(HeldFunctions(of_program, of_torch).find().release());
}

}  // namespace

void bind_native(nb::module_& m) {
    m.attr("Dispatcher") = nb::steal(make_dispatcher_type().release());
    m.attr("ModuleCall") = nb::steal(make_module_call_type().release());
    m.attr("GUARD_OPERATIONS") = nb::steal(guard_operations().release());
    m.def("set_in_instance_dict", &set_in_instance_dict, "instance"_a, "name"_a, "value"_a.none());
    m.def(
        "library_of",
        [](const nb::handle& function) { return nb::steal<nb::str>(from_utf8(library_of(function.ptr())).release()); },
        "function"_a.none());
    m.attr("FUNCTIONS_OF_A_CODE") = k_functions_of_a_code;
    nb::class_<FrameListener>(m, "FrameListener")
        .def(
            "__init__", [](FrameListener* self, const nb::dict& files) { new (self) FrameListener(beginnings(files, true)); },
            "files"_a)
        .def("start", &FrameListener::start)
        .def("stop", [](FrameListener& self) { return nb::steal<nb::list>(self.stop().release()); })
        .def_prop_ro("classes", [](const FrameListener& self) { return nb::steal<nb::list>(self.classes().release()); })
        .def_prop_ro("asked", [](const FrameListener& self) { return nb::steal<nb::str>(from_utf8(self.asked()).release()); });
    m.def("held_functions", &held_functions, "files"_a, "modules"_a);
    m.def("lower_guards", &lower, "program"_a, "names"_a, "lazy"_a, "rare"_a, "before"_a);
    nb::class_<GuardEngine>(m, "GuardEngine")
        .def(
            "__init__", [](GuardEngine* self, nb::handle steps) { new (self) GuardEngine(steps.ptr()); }, "steps"_a)
        .def("check", &check_guards, "names"_a, "values"_a, "namespace"_a)
        .def_prop_ro("reduction", [](const GuardEngine& self) { return nb::steal(self.describe_reduction().release()); });
}

}  // namespace coldframe::python
