// The interpreter's own frames, which each version of CPython lays out in another way: 3.11 to 3.13.
//
// Its internal headers come with this one: for the sources that need them alone.
#pragma once

#define Py_BUILD_CORE
#include <Python.h>

#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030E0000
#error "the frames of this CPython are not known"
#endif

namespace coldframe::python {

// The frame that runs, of whatever kind; null when there is none.
inline const _PyInterpreterFrame* innermost_frame(const PyThreadState* state) {
#if PY_VERSION_HEX >= 0x030D0000
    return state->current_frame;
#else
    return state->cframe->current_frame;
#endif
}

// Whether the frame runs a function, and has begun to: the interpreter has frames of its own between those.
inline bool runs_function(const _PyInterpreterFrame* frame) {
#if PY_VERSION_HEX >= 0x030C0000
    if (frame->owner == FRAME_OWNED_BY_CSTACK) return false;
#endif
    return !_PyFrame_IsIncomplete(const_cast<_PyInterpreterFrame*>(frame));
}

inline PyCodeObject* code_of(const _PyInterpreterFrame* frame) {
#if PY_VERSION_HEX >= 0x030D0000
    return _PyFrame_GetCode(const_cast<_PyInterpreterFrame*>(frame));
#else
    return frame->f_code;
#endif
}

inline PyFunctionObject* function_of(const _PyInterpreterFrame* frame) {
#if PY_VERSION_HEX >= 0x030C0000
    return reinterpret_cast<PyFunctionObject*>(frame->f_funcobj);
#else
    return frame->f_func;
#endif
}

}  // namespace coldframe::python
