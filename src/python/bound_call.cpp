#include <python/bound_call.hpp>

#include <structmember.h>

#include <algorithm>
#include <array>
#include <span>

namespace coldframe::python {
namespace {

struct BoundCall {
    PyObject_HEAD vectorcallfunc call;
    PyObject* graph;
    std::vector<PyObject*>* arguments;
    Py_ssize_t missing;
    Py_ssize_t users;
};

BoundCall& to_call(PyObject* object) { return *reinterpret_cast<BoundCall*>(object); }

PyObject* call(PyObject* object, PyObject* const* args, std::size_t flags, PyObject* keywords) {
    const BoundCall& self = to_call(object);
    if (self.users == 0 || PyVectorcall_NARGS(flags) != self.missing || keywords != nullptr) {
        PyErr_SetString(PyExc_RuntimeError, "a bound graph is called by compiled code alone");
        return nullptr;
    }
    std::array<PyObject*, 128> small;
    std::vector<PyObject*> large;
    std::span<PyObject*> all(small);
    if (self.arguments->size() > small.size()) {
        large.resize(self.arguments->size());
        all = large;
    }
    std::ranges::transform(*self.arguments, all.begin(), [&](PyObject* known) { return known != nullptr ? known : *args++; });
    return PyObject_Vectorcall(self.graph, all.data(), self.arguments->size(), nullptr);
}

void deallocate(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    delete to_call(object).arguments;
    type->tp_free(object);
    Py_DECREF(type);
}

PyMemberDef k_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(BoundCall, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot k_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(&deallocate)},
    {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
    {Py_tp_members, k_members},
    {Py_tp_doc, const_cast<char*>("A graph with some of its arguments.")},
    {0, nullptr},
};
PyType_Spec k_spec = {
    "coldframe._core.BoundCall",
    static_cast<int>(sizeof(BoundCall)),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    k_slots,
};

}  // namespace

Ref make_bound_call(PyObject* graph, std::vector<PyObject*> arguments) {
    static PyObject* const type = owned(PyType_FromSpec(&k_spec)).release();
    auto* concrete = reinterpret_cast<PyTypeObject*>(type);
    Ref made = owned(concrete->tp_alloc(concrete, 0));
    BoundCall& self = to_call(made.get());
    self.call = &call;
    self.graph = graph;
    self.missing = std::ranges::count(arguments, nullptr);
    self.arguments = new std::vector<PyObject*>(std::move(arguments));
    return made;
}

BoundCallUse::BoundCallUse(Ref call) : call_(std::move(call)) {
    if (call_) ++to_call(call_.get()).users;
}

BoundCallUse::~BoundCallUse() {
    if (call_) --to_call(call_.get()).users;
}

}  // namespace coldframe::python
