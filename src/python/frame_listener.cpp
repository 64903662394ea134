// How: while somebody listens, `evaluate` is the interpreter's evaluator, and passes each frame on to the one that was there
// before. Dynamo may put its own on top again meanwhile, and then has `evaluate` below it: a frame may come by twice, and
// `evaluate` may come back to the top when nobody listens any more. Then it takes itself away.
#define Py_BUILD_CORE
#include <Python.h>

#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE

#include <python/frame_listener.hpp>

#include <algorithm>
#include <cstdint>

namespace coldframe::python {
namespace {

std::vector<FrameListener*> s_listeners;
_PyFrameEvalFunction s_previous = nullptr;
thread_local const _PyInterpreterFrame* t_passed_on = nullptr;  // the frame that s_previous has from us
thread_local unsigned t_silenced = 0;

bool is_named(const PyCodeObject* code, const char* name) { return PyUnicode_CompareWithASCIIString(code->co_name, name) == 0; }

// What runs within says nothing about what is compiled.
bool silences(const PyCodeObject* code) {
    return is_named(code, "<module>") || is_named(code, "__del__") || is_named(code, "callHandlers");
}

PyObject* evaluate(PyThreadState* state, _PyInterpreterFrame* frame, int throws) {
    PyInterpreterState* interpreter = state->interp;
    const bool is_on_top = _PyInterpreterState_GetEvalFrameFunc(interpreter) == evaluate;
    if (is_on_top && s_listeners.empty()) _PyInterpreterState_SetEvalFrameFunc(interpreter, _PyEval_EvalFrameDefault);
    // A frame that is thrown into has been heard when it began.
    const bool listens = throws == 0 && std::ranges::any_of(s_listeners, [&](auto* each) { return each->thread() == state; });
    const bool silence = listens && silences(frame->f_code);
    if (listens && !silence && t_silenced == 0 && frame != t_passed_on) {
        for (FrameListener* listener : s_listeners) {
            if (listener->thread() == state) listener->hear(frame);
        }
    }
    t_silenced += silence ? 1 : 0;
    PyObject* result = nullptr;
    if (is_on_top && !s_listeners.empty() && frame != t_passed_on) {
        const _PyInterpreterFrame* outer = std::exchange(t_passed_on, frame);
        result = s_previous(state, frame, throws);
        t_passed_on = outer;
    } else {
        result = _PyEval_EvalFrameDefault(state, frame, throws);
    }
    t_silenced -= silence ? 1 : 0;
    return result;
}

}  // namespace

FrameListener::~FrameListener() { std::erase(s_listeners, this); }

void FrameListener::start() {
    thread_ = PyThreadState_Get();
    if (s_listeners.empty() && _PyInterpreterState_GetEvalFrameFunc(thread_->interp) != evaluate) {
        s_previous = _PyInterpreterState_GetEvalFrameFunc(thread_->interp);
        _PyInterpreterState_SetEvalFrameFunc(thread_->interp, evaluate);
    }
    s_listeners.push_back(this);
}

Ref FrameListener::stop() {
    std::erase(s_listeners, this);
    if (s_listeners.empty() && _PyInterpreterState_GetEvalFrameFunc(thread_->interp) == evaluate) {
        _PyInterpreterState_SetEvalFrameFunc(thread_->interp, s_previous);
    }
    if (met_.empty()) raise(PyExc_RuntimeError, "nothing was heard: another hook of the interpreter's evaluator is in the way");
    if (failed_) raise(PyExc_RuntimeError, "what ran could not be told: out of memory, or a file's name is no text");
    Ref list = owned(PyList_New(0));
    for (const Ref& function : heard_) check(PyList_Append(list.get(), function.get()));
    return list;
}

void FrameListener::hear(const _PyInterpreterFrame* frame) noexcept {
    auto* code = reinterpret_cast<PyObject*>(frame->f_code);
    const void*& last = last_met_[(reinterpret_cast<std::uintptr_t>(code) >> 6U) % last_met_.size()];
    if (last == code) return;
    try {
        auto [found, is_new] = met_.try_emplace(code, false);
        if (is_new) {
            kept_.push_back(Ref::borrow(code));
            found->second = is_heard(code, frame->f_globals);
        }
        if (found->second) {
            keep(frame->f_func);
        } else {
            last = code;
        }
    } catch (const std::exception&) {
        PyErr_Clear();
        failed_ = true;
    }
}

void FrameListener::keep(PyFunctionObject* function) {
    // Functions that are made anew at each run are alike unless they hold something.
    const bool is_bare =
        function->func_closure == nullptr && function->func_defaults == nullptr && function->func_kwdefaults == nullptr;
    if (is_bare && !bare_.emplace(function->func_code, function->func_globals).second) return;
    if (!functions_.insert(function).second || ++distinct_[function->func_code] > k_functions_of_a_code) return;
    heard_.push_back(Ref::borrow(reinterpret_cast<PyObject*>(function)));
}

bool FrameListener::is_heard(PyObject* code, PyObject* globals) const {
    PyObject* file = reinterpret_cast<PyCodeObject*>(code)->co_filename;
    // Generated code belongs to where its globals are.
    if (PyUnicode_GET_LENGTH(file) > 0 && PyUnicode_READ_CHAR(file, 0) == '<' && PyDict_Check(globals)) {
        PyObject* of_globals = PyDict_GetItemString(globals, "__file__");
        if (of_globals != nullptr && PyUnicode_Check(of_globals)) return is_heard(of_globals);
    }
    return is_heard(file);
}

bool FrameListener::is_heard(PyObject* file) const {
    const std::string name = to_utf8(file);
    const Place* best = nullptr;
    for (const Place& place : places_) {
        if (name.starts_with(place.prefix) && (best == nullptr || best->prefix.size() < place.prefix.size())) best = &place;
    }
    return best == nullptr || best->is_heard;
}

}  // namespace coldframe::python
