#include <python/module_call.hpp>

#include <structmember.h>

namespace coldframe::python {
namespace {

struct ModuleCall {
    PyObject_HEAD vectorcallfunc call;
    PyObject* key;
    PyObject* forward;  // "forward"
    PyObject* own;      // a tuple of names
    PyObject* others;   // a tuple of dicts
    PyObject* otherwise;
};

PyObject* dict_of(PyObject* instance) {
    PyObject** slot = _PyObject_GetDictPtr(instance);
    return slot != nullptr ? *slot : nullptr;
}

// What serves the instance, or null: then `otherwise` does.
PyObject* served_by(const ModuleCall& self, PyObject* instance) {
    PyObject* dict = dict_of(instance);
    if (dict == nullptr) return nullptr;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self.others); ++i) {
        if (PyDict_GET_SIZE(PyTuple_GET_ITEM(self.others, i)) != 0) return nullptr;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self.own); ++i) {
        PyObject* hooks = PyDict_GetItemWithError(dict, PyTuple_GET_ITEM(self.own, i));
        if (hooks == nullptr || !PyDict_Check(hooks) || PyDict_GET_SIZE(hooks) != 0) return nullptr;
    }
    if (PyDict_GetItemWithError(dict, self.forward) != nullptr) return nullptr;
    return PyDict_GetItemWithError(dict, self.key);
}

PyObject* call(PyObject* object, PyObject* const* args, std::size_t flags, PyObject* keywords) {
    const auto& self = *reinterpret_cast<ModuleCall*>(object);
    const Py_ssize_t count = PyVectorcall_NARGS(flags);
    if (count == 0) {
        PyErr_SetString(PyExc_TypeError, "a module is expected as the first argument");
        return nullptr;
    }
    const Ref served = Ref::borrow(served_by(self, args[0]));
    if (served) return PyObject_Vectorcall(served.get(), args + 1, static_cast<std::size_t>(count - 1), keywords);
    PyErr_Clear();
    const Ref otherwise = Ref::borrow(self.otherwise);
    return PyObject_Vectorcall(otherwise.get(), args, static_cast<std::size_t>(count), keywords);
}

bool are_dicts(PyObject* tuple) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
        if (!PyDict_Check(PyTuple_GET_ITEM(tuple, i))) return false;
    }
    return true;
}

PyObject* new_module_call(PyTypeObject* type, PyObject* args, PyObject*) {
    PyObject* key = nullptr;
    PyObject* own = nullptr;
    PyObject* others = nullptr;
    PyObject* otherwise = nullptr;
    if (PyArg_ParseTuple(args, "UO!O!O", &key, &PyTuple_Type, &own, &PyTuple_Type, &others, &otherwise) == 0) return nullptr;
    if (!are_dicts(others)) {
        PyErr_SetString(PyExc_TypeError, "others: dicts are expected");
        return nullptr;
    }
    PyObject* made = type->tp_alloc(type, 0);
    if (made == nullptr) return nullptr;
    auto* self = reinterpret_cast<ModuleCall*>(made);
    self->call = &call;
    self->key = Py_NewRef(key);
    self->forward = PyUnicode_InternFromString("forward");
    if (self->forward == nullptr) {
        Py_DECREF(made);
        return nullptr;
    }
    self->own = Py_NewRef(own);
    self->others = Py_NewRef(others);
    self->otherwise = Py_NewRef(otherwise);
    return made;
}

// Read as an attribute it is a function of Python: what looks into calls, such as Dynamo, follows that.
PyObject* bind(PyObject* self, PyObject* instance, PyObject*) {
    PyObject* function = reinterpret_cast<ModuleCall*>(self)->otherwise;
    return instance == nullptr || instance == Py_None ? Py_NewRef(function) : PyMethod_New(function, instance);
}

int traverse(PyObject* object, visitproc visit, void* arg) {
    auto* self = reinterpret_cast<ModuleCall*>(object);
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->others);
    Py_VISIT(self->otherwise);
    return 0;
}

void deallocate(PyObject* object) {
    auto* self = reinterpret_cast<ModuleCall*>(object);
    PyTypeObject* type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    Py_XDECREF(self->key);
    Py_XDECREF(self->forward);
    Py_XDECREF(self->own);
    Py_XDECREF(self->others);
    Py_XDECREF(self->otherwise);
    type->tp_free(object);
    Py_DECREF(type);
}

PyMemberDef k_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ModuleCall, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot k_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(&new_module_call)},
    {Py_tp_dealloc, reinterpret_cast<void*>(&deallocate)},
    {Py_tp_traverse, reinterpret_cast<void*>(&traverse)},
    {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(&bind)},
    {Py_tp_members, k_members},
    {Py_tp_doc, const_cast<char*>("The __call__ of a class of modules: calls what serves the instance.")},
    {0, nullptr},
};
PyType_Spec k_spec = {
    "coldframe._core.ModuleCall",
    static_cast<int>(sizeof(ModuleCall)),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    k_slots,
};

}  // namespace

Ref make_module_call_type() { return owned(PyType_FromSpec(&k_spec)); }

}  // namespace coldframe::python
