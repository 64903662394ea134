// The bridge to CPython: owned references, errors both ways, the GIL. It knows nothing of the binding tool.
//
//   Ref module = owned(PyImport_ImportModule("types"));         // throws PythonError when null
//   Package package = value_or_raise(without_gil([&] { return archive::open(path); }));
//   raise({ErrorCode::not_portable, "...", ""});                 // sets coldframe.errors.NotPortableError and throws
//
// Thread-safety: everything but the body of `without_gil` needs the GIL. Failure: PythonError, which means that Python's
// error indicator is set; only the binding catches it.
#pragma once

#include <python/compat.hpp>

#include <coldframe/util/bytes.hpp>
#include <coldframe/util/error.hpp>

#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace coldframe::python {

class Ref {
   public:
    Ref() = default;
    Ref(const Ref& other) : object_(other.object_) { Py_XINCREF(object_); }
    Ref(Ref&& other) noexcept : object_(other.release()) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() { Py_XDECREF(object_); }

    [[nodiscard]] static Ref steal(PyObject* object) { return Ref(object); }
    [[nodiscard]] static Ref borrow(PyObject* object) {
        Py_XINCREF(object);
        return Ref(object);
    }
    [[nodiscard]] PyObject* get() const { return object_; }
    [[nodiscard]] PyObject* release() { return std::exchange(object_, nullptr); }
    explicit operator bool() const { return object_ != nullptr; }

   private:
    explicit Ref(PyObject* object) : object_(object) {}
    PyObject* object_ = nullptr;
};

// Python's error indicator is set.
class PythonError : public std::exception {
   public:
    [[nodiscard]] const char* what() const noexcept override { return "a Python exception is set"; }
};

// What a C API call returned: a new reference or null, and 0 or -1.
[[nodiscard]] Ref owned(PyObject* object);
void check(int status);

// Sets the exception of coldframe.errors that stands for the code, with the present exception as its cause, and throws.
[[noreturn]] void raise(const Error& error);
// Any other exception, say a TypeError for a caller's argument.
[[noreturn]] void raise(PyObject* type, const std::string& message);

template <typename T>
T value_or_raise(Result<T> result) {
    if (!result) raise(result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

template <typename Body>
auto without_gil(Body&& body) {
    struct Released {
        PyThreadState* state = PyEval_SaveThread();
        ~Released() { PyEval_RestoreThread(state); }
    } released;
    return body();
}

// Lone surrogates are kept as CPython's "surrogatepass" does.
[[nodiscard]] std::string to_utf8(PyObject* str);
[[nodiscard]] Ref from_utf8(std::string_view text);
[[nodiscard]] Bytes to_bytes(PyObject* bytes);
[[nodiscard]] Ref from_bytes(ByteView bytes);

// A str or os.PathLike, as the file system spells it.
[[nodiscard]] std::string to_path(PyObject* path);

// The attribute, or null with no error set when reading it fails in any way.
[[nodiscard]] Ref find_attribute(PyObject* object, const char* name);
[[nodiscard]] Ref find_attribute(PyObject* object, PyObject* name);
// A module of sys.modules, never imported; null when absent.
[[nodiscard]] Ref find_module(PyObject* name);
[[nodiscard]] Ref find_module(const char* name);

// At most 80 ASCII characters; "..." alone when the object's own methods raise.
[[nodiscard]] std::string short_repr(PyObject* object);
// "of type torch._C.Generator: <torch._C.Generator object at 0x7f...>".
[[nodiscard]] std::string describe(PyObject* object);
[[nodiscard]] std::string type_name(PyTypeObject* type);

}  // namespace coldframe::python
