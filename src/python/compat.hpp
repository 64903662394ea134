// Functions of CPython's that have another name or way in each version. Beside this, frames.hpp knows how frames are laid out,
// bytecode.hpp and code_codec.cpp know bytecode, guard_words.cpp code by its digest; the rest uses what all versions share.
#pragma once

#include <Python.h>

#include <array>
#include <string_view>

#if PY_VERSION_HEX < 0x030A0000
#error "coldframe needs CPython 3.10 or newer"
#endif

namespace coldframe::python {

// The arguments of types.CodeType(...), in order; each is also the name of a co_* attribute without the prefix.
#if PY_VERSION_HEX >= 0x030B0000
inline constexpr bool k_code_has_qualname = true;
inline constexpr std::array<std::string_view, 18> k_code_arguments = {
    "argcount", "posonlyargcount", "kwonlyargcount", "nlocals",        "stacksize", "flags",
    "code",     "consts",          "names",          "varnames",       "filename",  "name",
    "qualname", "firstlineno",     "linetable",      "exceptiontable", "freevars",  "cellvars"};
#else
inline constexpr bool k_code_has_qualname = false;  // nor an exception table
inline constexpr std::array<std::string_view, 16> k_code_arguments = {
    "argcount", "posonlyargcount", "kwonlyargcount", "nlocals", "stacksize",   "flags",     "code",     "consts",
    "names",    "varnames",        "filename",       "name",    "firstlineno", "linetable", "freevars", "cellvars"};
#endif

// A slot for one pointer on every code object, freed with it.
inline Py_ssize_t request_code_extra(freefunc free) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Eval_RequestCodeExtraIndex(free);
#else
    return _PyEval_RequestCodeExtraIndex(free);
#endif
}
inline int get_code_extra(PyObject* code, Py_ssize_t index, void** extra) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Code_GetExtra(code, index, extra);
#else
    return _PyCode_GetExtra(code, index, extra);
#endif
}
inline int set_code_extra(PyObject* code, Py_ssize_t index, void* extra) {
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Code_SetExtra(code, index, extra);
#else
    return _PyCode_SetExtra(code, index, extra);
#endif
}

// The current exception, normalised and taken off the indicator; null when there is none.
inline PyObject* take_exception() {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == nullptr) return nullptr;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != nullptr) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
#endif
}

// Steals `exception`.
inline void restore_exception(PyObject* exception) {
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(exception));
    Py_INCREF(type);
    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
#endif
}

// Whether the type has a version now: it loses it, and the tag becomes another, when it or a base of it changes.
inline bool has_version(const PyTypeObject* type) {
#if PY_VERSION_HEX >= 0x030D0000
    return type->tp_version_tag != 0;
#else
    return (type->tp_flags & Py_TPFLAGS_VALID_VERSION_TAG) != 0;
#endif
}

// What hasattr() says; false, and no error, where it raises.
inline bool has_attribute(PyObject* object, PyObject* name) {
#if PY_VERSION_HEX >= 0x030D0000
    const int found = PyObject_HasAttrWithError(object, name);
    if (found < 0) PyErr_Clear();
    return found == 1;
#else
    return PyObject_HasAttr(object, name) != 0;
#endif
}

// What a weak reference refers to, None when that is gone; a new reference, or null with an error set.
inline PyObject* weakref_target(PyObject* reference) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* target = nullptr;
    const int found = PyWeakref_GetRef(reference, &target);
    return found == 0 ? Py_NewRef(Py_None) : target;
#else
    return Py_XNewRef(PyWeakref_GetObject(reference));
#endif
}

}  // namespace coldframe::python
