#include <python/bridge.hpp>

namespace coldframe::python {

namespace {

constexpr std::size_t k_longest_repr = 80;

const char* exception_name(ErrorCode code) {
    switch (code) {
        case ErrorCode::incompatible: return "IncompatiblePackageError";
        case ErrorCode::corrupt: return "CorruptPackageError";
        case ErrorCode::untrusted: return "UntrustedPackageError";
        case ErrorCode::unsupported: return "UnsupportedPackageError";
        case ErrorCode::not_found: return "PackageNotFoundError";
        case ErrorCode::not_portable: return "NotPortableError";
        case ErrorCode::io: return "PackageIOError";
        case ErrorCode::timeout: return "PackageTimeoutError";
        case ErrorCode::no_space: return "NoSpaceError";
        case ErrorCode::invalid_argument: return "InvalidArgumentError";
        case ErrorCode::internal: return "InternalError";
    }
    return "InternalError";
}

// Sets `type(message)` with `cause` as its __cause__.
void set_exception(PyObject* type, const std::string& message, Ref cause) {
    Ref text = Ref::steal(PyUnicode_DecodeUTF8(message.data(), static_cast<Py_ssize_t>(message.size()), "replace"));
    if (!text) return;
    Ref exception = Ref::steal(PyObject_CallOneArg(type, text.get()));
    if (!exception) return;
    if (cause) {
        PyException_SetContext(exception.get(), Ref(cause).release());
        PyException_SetCause(exception.get(), cause.release());
    }
    restore_exception(exception.release());
}

}  // namespace

Ref owned(PyObject* object) {
    if (object == nullptr) throw PythonError();
    return Ref::steal(object);
}

void check(int status) {
    if (status < 0) throw PythonError();
}

void raise(const Error& error) {
    Ref cause = Ref::steal(take_exception());
    Ref errors = owned(PyImport_ImportModule("coldframe.errors"));
    Ref type = owned(PyObject_GetAttrString(errors.get(), exception_name(error.code)));
    set_exception(type.get(), error.what(), std::move(cause));
    throw PythonError();
}

void raise(PyObject* type, const std::string& message) {
    Ref cause = Ref::steal(take_exception());
    set_exception(type, message, std::move(cause));
    throw PythonError();
}

std::string to_utf8(PyObject* str) {
    if (PyUnicode_IS_COMPACT_ASCII(str)) {
        return {static_cast<const char*>(PyUnicode_DATA(str)), static_cast<std::size_t>(PyUnicode_GET_LENGTH(str))};
    }
    Ref encoded = owned(PyUnicode_AsEncodedString(str, "utf-8", "surrogatepass"));
    return {PyBytes_AS_STRING(encoded.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(encoded.get()))};
}

Ref from_utf8(std::string_view text) {
    return owned(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogatepass"));
}

Bytes to_bytes(PyObject* bytes) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(PyBytes_AS_STRING(bytes));
    return {data, data + PyBytes_GET_SIZE(bytes)};
}

Ref from_bytes(ByteView bytes) {
    return owned(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()), static_cast<Py_ssize_t>(bytes.size())));
}

std::string to_path(PyObject* path) {
    PyObject* encoded = nullptr;
    if (PyUnicode_FSConverter(path, static_cast<void*>(&encoded)) == 0) throw PythonError();
    const Ref bytes = Ref::steal(encoded);
    return {PyBytes_AS_STRING(encoded), static_cast<std::size_t>(PyBytes_GET_SIZE(encoded))};
}

Ref find_attribute(PyObject* object, PyObject* name) {
    Ref attribute = Ref::steal(PyObject_GetAttr(object, name));
    if (!attribute) PyErr_Clear();
    return attribute;
}

Ref find_attribute(PyObject* object, const char* name) {
    Ref attribute = Ref::steal(PyObject_GetAttrString(object, name));
    if (!attribute) PyErr_Clear();
    return attribute;
}

Ref find_module(PyObject* name) {
    PyObject* modules = PyImport_GetModuleDict();
    if (!PyDict_CheckExact(modules)) return {};
    PyObject* module = PyDict_GetItemWithError(modules, name);
    if (module == nullptr) PyErr_Clear();
    return module == Py_None ? Ref() : Ref::borrow(module);
}

Ref find_module(const char* name) {
    Ref text = owned(PyUnicode_FromString(name));
    return find_module(text.get());
}

std::string type_name(PyTypeObject* type) {
    auto* object = reinterpret_cast<PyObject*>(type);
    Ref module = find_attribute(object, "__module__");
    Ref qualname = find_attribute(object, "__qualname__");
    if (!qualname || !PyUnicode_Check(qualname.get())) return type->tp_name;
    std::string name = to_utf8(qualname.get());
    if (!module || !PyUnicode_Check(module.get())) return name;
    const std::string prefix = to_utf8(module.get());
    return prefix == "builtins" ? name : prefix + "." + name;
}

std::string short_repr(PyObject* object) {
    // A container of a class of its own may hold itself many times over: its repr could take for ever.
    const bool is_container = PyTuple_Check(object) || PyList_Check(object) || PyDict_Check(object) || PyAnySet_Check(object);
    if (is_container && !PyTuple_CheckExact(object)) return "...";
    Ref reprlib = Ref::steal(PyImport_ImportModule("reprlib"));
    Ref repr = reprlib ? Ref::steal(PyObject_CallMethod(reprlib.get(), "repr", "O", object)) : Ref();
    Ref plain = repr ? Ref::steal(PyUnicode_AsEncodedString(repr.get(), "ascii", "backslashreplace")) : Ref();
    if (!plain) {
        PyErr_Clear();
        return "...";
    }
    std::string shown(PyBytes_AS_STRING(plain.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(plain.get())));
    return shown.size() > k_longest_repr ? shown.substr(0, k_longest_repr - 3) + "..." : shown;
}

std::string describe(PyObject* object) { return "of type " + type_name(Py_TYPE(object)) + ": " + short_repr(object); }

}  // namespace coldframe::python
