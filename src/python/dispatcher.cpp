#include <python/dispatcher.hpp>
#include <python/guard_engine.hpp>

#include <structmember.h>

#include <algorithm>

#include <memory>
#include <new>

namespace coldframe::python {
namespace {

struct Variant {
    GuardEngine guards;
    Ref on_first_hit;  // null once it was called
};

struct Plan {
    std::vector<Variant> variants;
    std::size_t likely = 0;
};

// What binding needs to know of a function's code.
struct Signature {
    Ref names;  // arguments, then free variables
    Py_ssize_t positional_only = 0;
    Py_ssize_t positional = 0;
    Py_ssize_t keyword_only = 0;
    bool varargs = false;
    bool varkeywords = false;
    Py_ssize_t arguments = 0;  // all of the above
    Py_ssize_t free = 0;
};

struct State {
    Ref function;
    Ref code;  // of the function when the dispatcher was made
    Ref miss;
    Ref first;    // null: nothing goes before the arguments
    Ref closure;  // for whatever is called in place of the function; null: it has the right one
    Signature signature;
    std::shared_ptr<Plan> plan = std::make_shared<Plan>();
};

struct Dispatcher {
    PyObject_HEAD vectorcallfunc call;
    PyObject* weak_references;
    State* state;
};

Py_ssize_t integer(PyObject* object, const char* name) {
    const Ref value = owned(PyObject_GetAttrString(object, name));
    const Py_ssize_t number = PyLong_AsSsize_t(value.get());
    if (PyErr_Occurred() != nullptr) throw PythonError();
    return number;
}

Signature signature_of(PyObject* function) {
    PyObject* code = PyFunction_GET_CODE(function);
    Signature result;
    result.positional_only = integer(code, "co_posonlyargcount");
    result.positional = integer(code, "co_argcount");
    result.keyword_only = integer(code, "co_kwonlyargcount");
    const Py_ssize_t flags = integer(code, "co_flags");
    result.varargs = (flags & CO_VARARGS) != 0;
    result.varkeywords = (flags & CO_VARKEYWORDS) != 0;
    result.arguments = result.positional + result.keyword_only + Py_ssize_t{result.varargs} + Py_ssize_t{result.varkeywords};
    const Ref variables = owned(PyObject_GetAttrString(code, "co_varnames"));
    const Ref free = owned(PyObject_GetAttrString(code, "co_freevars"));
    const Ref arguments = owned(PyTuple_GetSlice(variables.get(), 0, result.arguments));
    result.free = PyTuple_GET_SIZE(free.get());
    result.names = owned(PySequence_Concat(arguments.get(), free.get()));
    return result;
}

// The locals with which a call of the function begins; each owned.
class Binding {
   public:
    explicit Binding(const State& state)
        : state_(state), locals_(static_cast<std::size_t>(PyTuple_GET_SIZE(state.signature.names.get())), nullptr) {}
    Binding(const Binding&) = delete;
    Binding& operator=(const Binding&) = delete;
    ~Binding() {
        for (PyObject* value : locals_) Py_XDECREF(value);
    }

    // False when the arguments do not fit; no error is set.
    bool bind(PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
        const bool fits = bind_positional(args, count) && bind_keywords(args + count, keywords) && bind_defaults();
        if (fits) bind_free();
        PyErr_Clear();
        return fits;
    }

    [[nodiscard]] BoundFrame frame() const {
        return {locals_, state_.signature.names.get(), PyFunction_GET_GLOBALS(state_.function.get())};
    }

   private:
    void set(Py_ssize_t index, PyObject* value) { locals_[static_cast<std::size_t>(index)] = Py_XNewRef(value); }
    [[nodiscard]] bool is_set(Py_ssize_t index) const { return locals_[static_cast<std::size_t>(index)] != nullptr; }

    bool bind_positional(PyObject* const* args, Py_ssize_t count) {
        const Signature& signature = state_.signature;
        for (Py_ssize_t i = 0; i < std::min(count, signature.positional); ++i) set(i, args[i]);
        const Py_ssize_t extra = std::max<Py_ssize_t>(count - signature.positional, 0);
        if (!signature.varargs) return extra == 0;
        const Ref rest = Ref::steal(PyTuple_New(extra));
        if (!rest) return false;
        for (Py_ssize_t i = 0; i < extra; ++i) PyTuple_SET_ITEM(rest.get(), i, Py_NewRef(args[signature.positional + i]));
        set(signature.positional + signature.keyword_only, rest.get());
        return true;
    }

    bool bind_keywords(PyObject* const* values, PyObject* keywords) {
        const Signature& signature = state_.signature;
        const Ref others = Ref::steal(signature.varkeywords ? PyDict_New() : nullptr);
        if (signature.varkeywords) {
            if (!others) return false;
            set(signature.arguments - 1, others.get());
        }
        for (Py_ssize_t i = 0; i < (keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0); ++i) {
            PyObject* name = PyTuple_GET_ITEM(keywords, i);
            const Py_ssize_t index = index_of(name);
            if (index >= 0 && is_set(index)) return false;
            if (index >= 0) {
                set(index, values[i]);
            } else if (!others || PyDict_SetItem(others.get(), name, values[i]) < 0) {
                return false;
            }
        }
        return true;
    }

    [[nodiscard]] Py_ssize_t index_of(PyObject* name) const {
        const Signature& signature = state_.signature;
        const Py_ssize_t end = signature.positional + signature.keyword_only;
        PyObject* names = signature.names.get();
        for (Py_ssize_t i = signature.positional_only; i < end; ++i) {
            if (PyTuple_GET_ITEM(names, i) == name) return i;
        }
        for (Py_ssize_t i = signature.positional_only; i < end; ++i) {
            if (PyUnicode_Compare(PyTuple_GET_ITEM(names, i), name) == 0) return i;
        }
        return -1;
    }

    bool bind_defaults() {
        const Signature& signature = state_.signature;
        PyObject* defaults = PyFunction_GET_DEFAULTS(state_.function.get());
        const Py_ssize_t count = defaults != nullptr ? PyTuple_GET_SIZE(defaults) : 0;
        for (Py_ssize_t i = 0; i < signature.positional; ++i) {
            if (is_set(i)) continue;
            const Py_ssize_t index = i - (signature.positional - count);
            if (index < 0) return false;
            set(i, PyTuple_GET_ITEM(defaults, index));
        }
        PyObject* named = PyFunction_GET_KW_DEFAULTS(state_.function.get());
        for (Py_ssize_t i = signature.positional; i < signature.positional + signature.keyword_only; ++i) {
            if (is_set(i)) continue;
            PyObject* name = PyTuple_GET_ITEM(signature.names.get(), i);
            PyObject* value = named != nullptr ? PyDict_GetItemWithError(named, name) : nullptr;
            if (value == nullptr) return false;
            set(i, value);
        }
        return true;
    }

    void bind_free() {
        PyObject* closure = PyFunction_GET_CLOSURE(state_.function.get());
        for (Py_ssize_t i = 0; i < state_.signature.free; ++i) {
            set(state_.signature.arguments + i, PyCell_GET(PyTuple_GET_ITEM(closure, i)));
        }
    }

    const State& state_;
    std::vector<PyObject*> locals_;
};

// Defaults are taken by whoever is called.
bool has_defaults_of(PyObject* function, PyObject* original) {
    return PyFunction_GET_DEFAULTS(function) == PyFunction_GET_DEFAULTS(original) &&
           PyFunction_GET_KW_DEFAULTS(function) == PyFunction_GET_KW_DEFAULTS(original);
}

struct Served {
    Variant* variant = nullptr;  // null: none serves
    Ref callee;
};

Served find_variant(Plan& plan, PyObject* original, const BoundFrame& frame, GuardPins& pins) {
    const std::size_t count = plan.variants.size();
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t index = i == 0 ? plan.likely : i - (i <= plan.likely ? 1 : 0);
        Variant& variant = plan.variants[index];
        if (!has_defaults_of(variant.guards.function(), original)) continue;
        GuardVerdict verdict = variant.guards.check(frame, pins);
        if (verdict.refused != GuardVerdict::k_holds) continue;
        plan.likely = index;
        return {&variant, std::move(verdict.callee)};
    }
    return {};
}

// The same function over other cells. Null with an error set.
Ref with_closure(PyObject* function, PyObject* closure) {
    Ref made = Ref::steal(PyFunction_New(PyFunction_GET_CODE(function), PyFunction_GET_GLOBALS(function)));
    if (!made || PyFunction_SetClosure(made.get(), closure) < 0) return {};
    return made;
}

PyObject* serve(const State& state, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
    const std::shared_ptr<Plan> plan = state.plan;  // a guard may replace it
    const Ref function = state.function;
    Ref callee = state.miss;
    GuardPins pins;
    if (PyFunction_GET_CODE(function.get()) == state.code.get()) {  // or it is another function now
        Binding binding(state);
        if (!binding.bind(args, count, keywords)) {
            callee = function;
        } else if (Served served = find_variant(*plan, function.get(), binding.frame(), pins); served.variant != nullptr) {
            callee = state.closure ? with_closure(served.callee.get(), state.closure.get()) : std::move(served.callee);
            if (!callee) return nullptr;
            if (const Ref first = std::exchange(served.variant->on_first_hit, Ref()); first) {
                const Ref done = Ref::steal(PyObject_CallNoArgs(first.get()));
                if (!done) return nullptr;
            }
        }
        PyErr_Clear();
    }
    return PyObject_Vectorcall(callee.get(), args, static_cast<std::size_t>(count), keywords);
}

PyObject* dispatch(PyObject* self, PyObject* const* args, std::size_t flags, PyObject* keywords) {
    const State& state = *reinterpret_cast<Dispatcher*>(self)->state;
    const Py_ssize_t count = PyVectorcall_NARGS(flags);
    if (!state.first) return serve(state, args, count, keywords);
    const Ref first = state.first;
    const std::size_t named = keywords != nullptr ? static_cast<std::size_t>(PyTuple_GET_SIZE(keywords)) : 0;
    std::vector<PyObject*> all{first.get()};
    all.insert(all.end(), args, args + static_cast<std::size_t>(count) + named);
    return serve(state, all.data(), count + 1, keywords);
}

template <typename Body>
PyObject* guarded(Body&& body) {
    try {
        return body();
    } catch (const PythonError&) {
        return nullptr;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* made_of(PyTypeObject* type, std::unique_ptr<State> state) {
    Ref made = owned(type->tp_alloc(type, 0));
    auto* self = reinterpret_cast<Dispatcher*>(made.get());
    self->call = &dispatch;
    self->state = state.release();
    return made.release();
}

PyObject* new_dispatcher(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    static const char* names[] = {"function", "miss", "first", nullptr};
    PyObject* function = nullptr;
    PyObject* miss = nullptr;
    PyObject* first = nullptr;
    if (PyArg_ParseTupleAndKeywords(args, keywords, "O!O|O", const_cast<char**>(names), &PyFunction_Type, &function, &miss,
                                    &first) == 0) {
        return nullptr;
    }
    return guarded([&] {
        auto state = std::make_unique<State>();
        state->function = Ref::borrow(function);
        state->code = Ref::borrow(PyFunction_GET_CODE(function));
        state->miss = Ref::borrow(miss);
        state->first = Ref::borrow(first);
        state->signature = signature_of(function);
        return made_of(type, std::move(state));
    });
}

// For a function that is made anew for each of its closures: the same variants over these cells.
PyObject* over_closure(PyObject* self, PyObject* args) {
    const State& from = *reinterpret_cast<Dispatcher*>(self)->state;
    PyObject* closure = nullptr;
    PyObject* miss = nullptr;
    if (PyArg_ParseTuple(args, "O!O", &PyTuple_Type, &closure, &miss) == 0) return nullptr;
    return guarded([&] {
        if (PyTuple_GET_SIZE(closure) != from.signature.free) raise(PyExc_ValueError, "a closure of another size");
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(closure); ++i) {
            if (!PyCell_Check(PyTuple_GET_ITEM(closure, i))) raise(PyExc_TypeError, "a closure is made of cells");
        }
        auto state = std::make_unique<State>(from);
        state->function = with_closure(from.function.get(), closure);
        if (!state->function) throw PythonError();
        state->closure = Ref::borrow(closure);
        state->miss = Ref::borrow(miss);
        return made_of(Py_TYPE(self), std::move(state));
    });
}

PyObject* item(PyObject* tuple, Py_ssize_t index, Py_ssize_t size) {
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != size) raise(PyExc_TypeError, "a tuple of another size is expected");
    return PyTuple_GET_ITEM(tuple, index);
}

PyObject* set_plan(PyObject* self, PyObject* variants) {
    return guarded([&] {
        auto plan = std::make_shared<Plan>();
        const Ref sequence = owned(PySequence_Fast(variants, "variants: a sequence is expected"));
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence.get()); ++i) {
            PyObject* tuple = PySequence_Fast_GET_ITEM(sequence.get(), i);
            PyObject* first = item(tuple, 2, 3);
            if (!PyFunction_Check(item(tuple, 1, 3))) raise(PyExc_TypeError, "a variant's code is a function");
            plan->variants.push_back(
                {GuardEngine(item(tuple, 0, 3), item(tuple, 1, 3)), Ref::borrow(first == Py_None ? nullptr : first)});
        }
        reinterpret_cast<Dispatcher*>(self)->state->plan = std::move(plan);
        return Py_NewRef(Py_None);
    });
}

PyObject* get_names(PyObject* self, void*) {
    return Py_NewRef(reinterpret_cast<Dispatcher*>(self)->state->signature.names.get());
}

PyObject* get_reductions(PyObject* self, void*) {
    return guarded([&] {
        Ref result = owned(PyList_New(0));
        for (const Variant& variant : reinterpret_cast<Dispatcher*>(self)->state->plan->variants) {
            const Ref each = variant.guards.describe_reduction();
            check(PyList_Append(result.get(), each.get()));
        }
        return result.release();
    });
}

int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    const State* state = reinterpret_cast<Dispatcher*>(self)->state;
    if (state == nullptr) return 0;
    Py_VISIT(state->function.get());
    Py_VISIT(state->miss.get());
    Py_VISIT(state->first.get());
    Py_VISIT(state->closure.get());
    if (state->plan.use_count() > 1) return 0;  // a call is running: its references are not all the plan's own
    for (const Variant& variant : state->plan->variants) {
        Py_VISIT(variant.on_first_hit.get());
        if (const int stop = variant.guards.traverse(visit, arg); stop != 0) return stop;
    }
    return 0;
}

int clear(PyObject* self) {
    State* state = reinterpret_cast<Dispatcher*>(self)->state;
    if (state != nullptr) state->plan = std::make_shared<Plan>();
    return 0;
}

void deallocate(PyObject* self) {
    auto* dispatcher = reinterpret_cast<Dispatcher*>(self);
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (dispatcher->weak_references != nullptr) PyObject_ClearWeakRefs(self);
    delete std::exchange(dispatcher->state, nullptr);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef k_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Dispatcher, call), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Dispatcher, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyMethodDef k_methods[] = {
    {"set_plan", &set_plan, METH_O, "Replaces the variants; calls that run keep theirs."},
    {"over_closure", &over_closure, METH_VARARGS,
     "The same variants for the function over other cells, with a miss of its own."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef k_properties[] = {
    {"names", &get_names, nullptr, "Names of the locals by number.", nullptr},
    {"reductions", &get_reductions, nullptr, "GuardEngine.reduction of each variant.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyType_Slot k_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(&new_dispatcher)},
    {Py_tp_dealloc, reinterpret_cast<void*>(&deallocate)},
    {Py_tp_traverse, reinterpret_cast<void*>(&traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(&clear)},
    {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
    {Py_tp_members, k_members},
    {Py_tp_methods, k_methods},
    {Py_tp_getset, k_properties},
    {Py_tp_doc, const_cast<char*>("Serves a function's compiled variants; calls `miss` for what none serves.")},
    {0, nullptr},
};
PyType_Spec k_spec = {
    "coldframe._core.Dispatcher",
    static_cast<int>(sizeof(Dispatcher)),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    k_slots,
};

}  // namespace

Ref make_dispatcher_type() { return owned(PyType_FromSpec(&k_spec)); }

}  // namespace coldframe::python
