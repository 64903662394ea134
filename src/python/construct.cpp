#include <python/construct.hpp>

#include <python/import_ref.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace coldframe::python {

namespace {

using Found = std::optional<Construction>;

bool is_same_item(PyObject* left, PyObject* right) {
    return left == right || (Py_TYPE(left) == Py_TYPE(right) && PyObject_RichCompareBool(left, right, Py_EQ) == 1);
}

bool is_same(PyObject* left, PyObject* right) {
    if (Py_TYPE(left) != Py_TYPE(right)) return false;
    if (!PyTuple_Check(left)) return is_same_item(left, right);
    if (PyTuple_GET_SIZE(left) != PyTuple_GET_SIZE(right)) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(left); ++i) {
        if (!is_same_item(PyTuple_GET_ITEM(left, i), PyTuple_GET_ITEM(right, i))) return false;
    }
    return true;
}

// The call, if making it gives the object again.
Found verified(PyObject* callee, Ref args, PyObject* object) {
    Result<ImportRef> reference = find_import_ref(callee);
    if (!reference) return std::nullopt;
    Ref again = Ref::steal(PyObject_CallObject(callee, args.get()));
    const bool same = again && is_same(again.get(), object);
    PyErr_Clear();
    if (!same) return std::nullopt;
    return Construction{std::move(*reference), std::move(args)};
}

PyObject* type_of(PyObject* object) { return reinterpret_cast<PyObject*>(Py_TYPE(object)); }

Ref pack(const Ref& item) { return owned(PyTuple_Pack(1, item.get())); }

Py_ssize_t int_attribute(PyObject* object, const char* name) {
    Ref attribute = find_attribute(object, name);
    const Py_ssize_t value = attribute && PyLong_Check(attribute.get()) ? PyLong_AsSsize_t(attribute.get()) : -1;
    if (value < 0) PyErr_Clear();
    return value;
}

Found find_tuple_construction(PyObject* object) {
    Ref attributes = find_attribute(object, "__dict__");
    if (attributes && PyObject_IsTrue(attributes.get()) != 0) return std::nullopt;
    Ref items = owned(PyTuple_GetSlice(object, 0, PyTuple_GET_SIZE(object)));
    Ref fields = find_attribute(type_of(object), "_fields");
    if (fields && PyTuple_CheckExact(fields.get()) && PyTuple_GET_SIZE(fields.get()) == PyTuple_GET_SIZE(object)) {
        return verified(type_of(object), std::move(items), object);
    }
    const Py_ssize_t visible = int_attribute(type_of(object), "n_sequence_fields");
    const bool is_whole_sequence = visible >= 0 && visible == int_attribute(type_of(object), "n_fields");
    if (is_whole_sequence || type_name(Py_TYPE(object)) == "torch.Size") {
        return verified(type_of(object), pack(items), object);
    }
    return std::nullopt;
}

Found find_torch_construction(PyObject* object) {
    const std::string name = type_name(Py_TYPE(object));
    if (name == "torch.device") {
        return verified(type_of(object), pack(owned(PyObject_Str(object))), object);
    }
    if (name != "torch.finfo" && name != "torch.iinfo") return std::nullopt;
    Ref torch = find_module("torch");
    Ref dtype_name = find_attribute(object, "dtype");
    if (!torch || !dtype_name || !PyUnicode_Check(dtype_name.get())) return std::nullopt;
    Ref dtype = find_attribute(torch.get(), dtype_name.get());
    return dtype ? verified(type_of(object), pack(dtype), object) : std::nullopt;
}

PyObject* builtin(const char* name) {
    return PyDict_GetItemString(PyEval_GetBuiltins(), name);  // borrowed
}

// A method bound to a class is made anew each time it is asked for.
Found find_method_construction(PyObject* object) {
    Ref owner = find_attribute(object, "__self__");
    Ref name = find_attribute(object, "__name__");
    PyObject* getattr = builtin("getattr");
    if (!owner || !PyType_Check(owner.get()) || !name || getattr == nullptr) return std::nullopt;
    return verified(getattr, owned(PyTuple_Pack(2, owner.get(), name.get())), object);
}

// What may be called, with which arguments.

bool makes_tuple(PyObject* callee, PyObject* args) {
    if (!PyType_Check(callee) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(callee), &PyTuple_Type)) return false;
    if (PyTuple_GET_SIZE(args) == 1 && PyTuple_Check(PyTuple_GET_ITEM(args, 0))) return true;
    Ref fields = find_attribute(callee, "_fields");
    return fields && PyTuple_CheckExact(fields.get());
}

bool makes_enum_member(PyObject* callee, PyObject* args) { return is_enum_class(callee) && PyTuple_GET_SIZE(args) == 1; }

bool makes_torch_value(PyObject* callee, PyObject*) {
    constexpr std::array<std::string_view, 6> k_types = {"torch.device",
                                                         "torch.finfo",
                                                         "torch.iinfo",
                                                         "torch._dynamo.utils.numpy_to_tensor_wrapper",
                                                         "torch._dynamo.utils.numpy_method_wrapper",
                                                         "torch._dynamo.utils.numpy_operator_wrapper"};
    return PyType_Check(callee) &&
           std::ranges::find(k_types, type_name(reinterpret_cast<PyTypeObject*>(callee))) != k_types.end();
}

bool reads_method_of_class(PyObject* callee, PyObject* args) {
    return callee == builtin("getattr") && PyTuple_GET_SIZE(args) == 2 && PyType_Check(PyTuple_GET_ITEM(args, 0)) &&
           PyUnicode_CheckExact(PyTuple_GET_ITEM(args, 1));
}

bool reads_globals_of_module(PyObject* callee, PyObject* args) {
    return callee == builtin("vars") && PyTuple_GET_SIZE(args) == 1 && PyModule_Check(PyTuple_GET_ITEM(args, 0));
}

// The views of dicts, and an OrderedDict to take one of.
bool makes_view(PyObject* callee, PyObject* args) {
    if (PyTuple_GET_SIZE(args) != 1) return false;
    PyObject* of = PyTuple_GET_ITEM(args, 0);
    Ref collections = find_module("collections");
    Ref ordered = collections ? find_attribute(collections.get(), "OrderedDict") : Ref();
    if (callee == ordered.get()) return PyDict_CheckExact(of) != 0;
    PyObject* type = type_of(of);
    if (type != ordered.get() && !PyDict_CheckExact(of)) return false;
    return std::ranges::any_of(std::array{"keys", "items"},
                               [&](const char* name) { return find_attribute(type, name).get() == callee; });
}

// It looks itself whether what it makes is a constant that the program has registered.
bool makes_registered_constant(PyObject* callee, PyObject*) {
    Ref values = find_module("coldframe.torch.values");
    return values && find_attribute(values.get(), "made").get() == callee;
}

// What a Construct is good for. A package says what is called, and that happens while it is found out whether the package may
// be used at all: so nothing is called but what only makes a value.
constexpr std::array k_kinds = {
    makes_tuple,           makes_enum_member,       makes_torch_value, makes_view, makes_registered_constant,
    reads_method_of_class, reads_globals_of_module,
};

}  // namespace

Ref make(const ImportRef& reference, PyObject* args) {
    const std::string shown = reference.module + "." + reference.qualname;
    Ref callee = resolve(reference);
    if (std::ranges::none_of(k_kinds, [&](auto kind) { return kind(callee.get(), args); })) {
        raise({ErrorCode::incompatible, shown + " is nothing that a package may call to make a value", {}});
    }
    if (Ref made = Ref::steal(PyObject_CallObject(callee.get(), args))) return made;
    raise({ErrorCode::incompatible, "calling " + shown + " on the recorded arguments fails here", {}});
}

std::optional<Construction> find_construction(PyObject* object) {
    if (PyTuple_Check(object)) return find_tuple_construction(object);
    if (PyMethod_Check(object) || PyCFunction_Check(object)) {
        if (find_import_ref(object)) return std::nullopt;
        return find_method_construction(object);
    }
    if (is_enum_member(object)) {
        Ref value = find_attribute(object, "value");
        if (!value || find_import_ref(object)) return std::nullopt;
        return verified(type_of(object), pack(value), object);
    }
    return find_torch_construction(object);
}

}  // namespace coldframe::python
