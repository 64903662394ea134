#include <python/construct.hpp>

#include <python/import_ref.hpp>

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

// A method bound to a class is made anew each time it is asked for.
Found find_method_construction(PyObject* object) {
    Ref owner = find_attribute(object, "__self__");
    Ref name = find_attribute(object, "__name__");
    Ref builtins = find_module("builtins");
    Ref getattr = builtins ? find_attribute(builtins.get(), "getattr") : Ref();
    if (!owner || !PyType_Check(owner.get()) || !name || !getattr) return std::nullopt;
    return verified(getattr.get(), owned(PyTuple_Pack(2, owner.get(), name.get())), object);
}

}  // namespace

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
