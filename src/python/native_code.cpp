#include <python/native_code.hpp>

#include <dlfcn.h>

namespace coldframe::python {
namespace {

const void* address_of(PyObject* object) {
    if (PyCFunction_Check(object)) return reinterpret_cast<const void*>(PyCFunction_GET_FUNCTION(object));
    if (Py_IS_TYPE(object, &PyMethodDescr_Type) || Py_IS_TYPE(object, &PyClassMethodDescr_Type)) {
        return reinterpret_cast<const void*>(reinterpret_cast<PyMethodDescrObject*>(object)->d_method->ml_meth);
    }
    return nullptr;
}

}  // namespace

std::string library_of(PyObject* object) {
    const void* address = address_of(object);
    Dl_info found{};
    Dl_info interpreter{};
    if (address == nullptr || dladdr(address, &found) == 0 || found.dli_fname == nullptr) return {};
    if (dladdr(&PyLong_Type, &interpreter) != 0 && interpreter.dli_fbase == found.dli_fbase) return {};
    const std::string_view path = found.dli_fname;
    return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace coldframe::python
