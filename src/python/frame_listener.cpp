// How: while somebody listens, `evaluate` is the interpreter's evaluator, and passes each frame on to the one that was there
// before. Dynamo may put its own on top again meanwhile, and then has `evaluate` below it: a frame may come by twice, and
// `evaluate` may come back to the top when nobody listens any more. Then it takes itself away.
#include <python/frame_listener.hpp>
#include <python/frames.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace coldframe::python {
namespace {

std::vector<FrameListener*> s_listeners;
_PyFrameEvalFunction s_previous = nullptr;
struct Thread {
    const _PyInterpreterFrame* passed_on = nullptr;  // the frame that s_previous has from us
    unsigned silenced = 0;
};
thread_local Thread t_thread;

// What runs within says nothing about what is compiled: modules that are imported or looked for, finalizers, handlers of logs.
bool silences(PyCodeObject* code) {
    const std::string file = to_utf8(code->co_filename);
    const std::string name = to_utf8(code->co_name);
    if (name == "<module>" || name == "__del__") return true;
    if (name == "__call__" && file.ends_with("/weakref.py")) return true;  // of finalize
    if (file.starts_with("<frozen importlib")) return name == "_find_and_load" || name == "_find_spec";
    return name == "callHandlers" && file.ends_with("/logging/__init__.py");
}

// Nobody hears what runs in another thread.
bool starts_thread(PyCodeObject* code) {
    return to_utf8(code->co_qualname) == "Thread.start" && to_utf8(code->co_filename).ends_with("/threading.py");
}

// What the collector or the death of an object calls, whenever that happens to be.
bool is_called_back(const _PyInterpreterFrame* frame) {
    PyObject* first = code_of(frame)->co_argcount > 0 ? frame->localsplus[0] : nullptr;
    if (first != nullptr && PyWeakref_Check(first) && PyWeakref_GET_OBJECT(first) == Py_None) return true;
    const Ref gc = find_module("gc");
    const Ref callbacks = gc ? find_attribute(gc.get(), "callbacks") : Ref();
    if (!callbacks || !PyList_Check(callbacks.get())) return false;
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(callbacks.get()); ++index) {
        PyObject* callback = PyList_GET_ITEM(callbacks.get(), index);
        if (PyMethod_Check(callback)) callback = PyMethod_GET_FUNCTION(callback);
        if (callback == reinterpret_cast<PyObject*>(function_of(frame))) return true;
    }
    return false;
}

constexpr std::string_view k_of_tuples = "namedtuple_";  // how the standard library names globals of what it generates

constexpr std::array<std::string_view, 8> k_of_outside = {"open",      "os.fork",        "os.listdir",      "os.scandir",
                                                          "os.system", "socket.connect", "sqlite3.connect", "subprocess.Popen"};

// Of the event "open", (path, mode or None, flags): a file that is only written to tells nothing.
bool is_for_writing(PyObject* args) {
    if (PyTuple_GET_SIZE(args) != 3 || !PyLong_Check(PyTuple_GET_ITEM(args, 2))) return false;
    return (PyLong_AsLong(PyTuple_GET_ITEM(args, 2)) & O_ACCMODE) == O_WRONLY;
}

// Parts of torch that compile or log, sources for messages, and what looks for installed distributions, which counts elsewhere.
bool asks_for_itself(std::string_view file) {
    return file.find("/torch/_") != std::string_view::npos || file.ends_with("/linecache.py") ||
           file.find("/importlib/metadata/") != std::string_view::npos;
}

int hear_event(const char* event, PyObject* args, void*) {
    if (s_listeners.empty() || std::ranges::find(k_of_outside, event) == k_of_outside.end()) return 0;
    PyThreadState* state = PyThreadState_Get();
    if (t_thread.silenced > 0 || (std::string_view(event) == "open" && is_for_writing(args))) return 0;
    for (FrameListener* listener : s_listeners) {
        if (listener->thread() == state)
            listener->note_event(event, PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : nullptr,
                                 innermost_frame(state));
    }
    return 0;
}

PyObject* evaluate(PyThreadState* state, _PyInterpreterFrame* frame, int throws) {
    Thread& thread = t_thread;
    if (frame == thread.passed_on) return _PyEval_EvalFrameDefault(state, frame, throws);
    const bool is_on_top = _PyInterpreterState_GetEvalFrameFunc(state->interp) == evaluate;
    if (s_listeners.empty()) {
        if (is_on_top) _PyInterpreterState_SetEvalFrameFunc(state->interp, _PyEval_EvalFrameDefault);
        return _PyEval_EvalFrameDefault(state, frame, throws);
    }
    bool silence = false;
    // What is thrown into has been heard when it began; what traces or profiles the others says nothing.
    if (throws == 0 && thread.silenced == 0 && state->tracing == 0) {
        for (FrameListener* listener : s_listeners) {
            if (listener->thread() == state && listener->hear(frame)) silence = true;
        }
    }
    thread.silenced += silence ? 1 : 0;
    PyObject* result = nullptr;
    if (is_on_top) {
        const _PyInterpreterFrame* outer = std::exchange(thread.passed_on, frame);
        result = s_previous(state, frame, throws);
        thread.passed_on = outer;
    } else {
        result = _PyEval_EvalFrameDefault(state, frame, throws);
    }
    thread.silenced -= silence ? 1 : 0;
    return result;
}

}  // namespace

FrameListener::~FrameListener() { std::erase(s_listeners, this); }

void FrameListener::start() {
    static const int s_hook = PySys_AddAuditHook(&hear_event, nullptr);
    if (s_hook != 0) throw PythonError();
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

bool FrameListener::hear(const _PyInterpreterFrame* frame) noexcept {
    PyCodeObject* code = code_of(frame);
    const void*& last = last_met_[(reinterpret_cast<std::uintptr_t>(code) >> 6U) % last_met_.size()];
    if (last == code) return false;
    try {
        auto [found, is_new] = met_.try_emplace(code, Kind::ignored);
        if (is_new) {
            kept_.push_back(Ref::borrow(reinterpret_cast<PyObject*>(code)));
            if (silences(code)) {
                found->second = Kind::silent;
            } else if (starts_thread(code)) {
                found->second = Kind::starts_thread;
            } else if (is_of(files_, code, frame->f_globals)) {
                found->second = is_called_back(frame) ? Kind::silent : Kind::heard;
            }
        }
        if (found->second == Kind::heard) {
            keep(function_of(frame));
            keep_classes(frame);
        }
        // The frame is to run: none leads on from it yet.
        if (found->second == Kind::starts_thread) note_event("threading.Thread.start", nullptr, innermost_frame(thread_));
        if (found->second == Kind::ignored) last = code;
        return found->second == Kind::silent;
    } catch (const std::exception&) {
        PyErr_Clear();
        failed_ = true;
        return false;
    }
}

void FrameListener::note_event(const char* event, PyObject* of, const _PyInterpreterFrame* frame) noexcept {
    if (!asked_.empty()) return;
    try {
        for (; frame != nullptr; frame = frame->previous) {
            if (!runs_function(frame)) continue;
            if (asks_for_itself(to_utf8(code_of(frame)->co_filename))) return;
            if (!is_of(files_, code_of(frame), frame->f_globals)) continue;
            asked_ = event;
            if (of != nullptr && PyUnicode_Check(of)) asked_ += " '" + to_utf8(of) + "'";
            return;
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

void FrameListener::keep_classes(const _PyInterpreterFrame* frame) {
    // A generator that goes on may have given its arguments other values, or none.
    const PyCodeObject* code = code_of(frame);
    int index = 0;
    while (index < code->co_argcount + code->co_kwonlyargcount) keep_class(frame->localsplus[index++]);
    if ((code->co_flags & CO_VARARGS) != 0) {
        PyObject* rest = frame->localsplus[index++];
        const Py_ssize_t count = rest != nullptr && PyTuple_Check(rest) ? PyTuple_GET_SIZE(rest) : 0;
        for (Py_ssize_t number = 0; number < count; ++number) keep_class(PyTuple_GET_ITEM(rest, number));
    }
    if ((code->co_flags & CO_VARKEYWORDS) != 0 && frame->localsplus[index] != nullptr &&
        PyDict_Check(frame->localsplus[index])) {
        PyObject* name = nullptr;
        PyObject* given = nullptr;
        Py_ssize_t position = 0;
        while (PyDict_Next(frame->localsplus[index], &position, &name, &given) != 0) keep_class(given);
    }
}

void FrameListener::keep_class(PyObject* given) {
    if (given == nullptr) return;
    PyTypeObject* type = PyType_Check(given) ? reinterpret_cast<PyTypeObject*>(given) : Py_TYPE(given);
    if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0 && !classes_.contains(type)) {
        classes_.emplace(type, Ref::borrow(reinterpret_cast<PyObject*>(type)));
    }
}

Ref FrameListener::classes() const {
    Ref list = owned(PyList_New(0));
    for (const auto& each : classes_) check(PyList_Append(list.get(), each.second.get()));
    return list;
}

bool is_of(const Beginnings& files, PyCodeObject* code, PyObject* globals) {
    PyObject* file = code->co_filename;
    if (PyUnicode_GET_LENGTH(file) == 0 || PyUnicode_READ_CHAR(file, 0) != '<' || !PyDict_Check(globals)) {
        return files.has(to_utf8(file));
    }
    PyObject* of_globals = PyDict_GetItemString(globals, "__file__");
    if (of_globals != nullptr && PyUnicode_Check(of_globals)) return files.has(to_utf8(of_globals));
    PyObject* name = PyDict_GetItemString(globals, "__name__");
    if (name == nullptr || !PyUnicode_Check(name)) return false;
    const Ref module = find_module(name);
    if (!module || !PyModule_Check(module.get())) return !to_utf8(name).starts_with(k_of_tuples);
    of_globals = PyDict_GetItemString(PyModule_GetDict(module.get()), "__file__");
    if (of_globals != nullptr && PyUnicode_Check(of_globals)) return files.has(to_utf8(of_globals));
    return PyUnicode_CompareWithASCIIString(name, "__main__") == 0;
}

}  // namespace coldframe::python
