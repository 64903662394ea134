#include <python/guard_reduction.hpp>

#include <algorithm>
#include <optional>

namespace coldframe::python {

using enum GuardOperation;

namespace {

// Another function of the same place with this code.
Ref with_code(PyObject* function, PyObject* code) {
    Ref made = owned(PyFunction_New(code, PyFunction_GET_GLOBALS(function)));
    const auto* from = reinterpret_cast<PyFunctionObject*>(function);
    auto* to = reinterpret_cast<PyFunctionObject*>(made.get());
    Py_XSETREF(to->func_defaults, Py_XNewRef(from->func_defaults));
    Py_XSETREF(to->func_kwdefaults, Py_XNewRef(from->func_kwdefaults));
    Py_XSETREF(to->func_closure, Py_XNewRef(from->func_closure));
    return made;
}

}  // namespace

// Walks the program once more, with words instead of reads where they can tell.
class GuardReduction::Builder {
   public:
    Builder(GuardReduction& made, const std::vector<GuardStep>& steps, const BoundFrame& frame, const LocalNumbers& varying)
        : made_(made), frame_(frame), varying_(varying), used_(steps.size()), checks_(frame, {}, 0), values_(1) {
        std::unordered_set<std::uint32_t> read;  // behind the step
        for (std::size_t i = steps.size(); i-- > 0;) {
            if (yields(steps[i].operation)) used_[i] = read.erase(steps[i].result) != 0;
            read.insert(steps[i].inputs.begin(), steps[i].inputs.end());
        }
    }

    // False: what held a moment ago does not now.
    bool take(const GuardStep& step) {
        if (yields(step.operation)) return take_accessor(step);
        if (step.operation == premise) return true;  // of the process: it held
        if (is_proven(step)) return holds(step);
        keep(step);
        return true;
    }

    // The function with those arguments of its graph that words prove; nothing is bound when there are none.
    void bind(PyObject* function) {
        const std::optional<GraphCall> call = GraphCall::find(PyFunction_GET_CODE(function));
        if (!call) return;
        std::vector<Found> found;
        for (const GraphCall::Expression& each : call->expressions()) found.push_back(read(each, found, function));
        const auto is_known = [&](std::size_t i) { return found[i].proven && found[i].value != nullptr; };
        const Found graph = made_.words_.dict_item(PyFunction_GET_GLOBALS(function), call->graph());
        if (!graph.proven || graph.value == nullptr) return;
        std::vector<bool> bound;
        for (std::size_t i = 0; i < found.size(); ++i) bound.push_back(is_known(i));
        std::vector<PyObject*> arguments;
        for (const std::size_t i : call->arguments()) arguments.push_back(bound[i] ? found[i].value : nullptr);
        made_.bound_ = make_bound_call(graph.value, arguments);
        const Ref code = call->rewritten(made_.bound_.get(), bound);
        if (!code) {
            made_.bound_ = Ref();
            return;
        }
        made_.callee_ = with_code(function, code.get());
        number_of_known(graph.value);
        for (PyObject* argument : arguments) {
            if (argument != nullptr) number_of_known(argument);
        }
    }

    // Known values have the first numbers, those of the rest follow.
    void finish() {
        const auto settle = [&](std::uint32_t& number) {
            if ((number & k_of_rest) != 0) number += static_cast<std::uint32_t>(made_.known_.size() + 1) - k_of_rest;
        };
        for (GuardStep& step : made_.rest_) {
            settle(step.input);
            settle(step.result);
            std::ranges::for_each(step.inputs, settle);
        }
    }

   private:
    static constexpr std::uint32_t k_of_rest = 1U << 31U;  // until it is known how many known ones come first

    struct State {
        bool proven = false;
        PyObject* value = nullptr;
        std::uint32_t number = 0;  // among the values of the rest; 0: not yet one
    };

    State& state(std::uint32_t number) {
        if (number >= values_.size()) values_.resize(number + std::size_t{1});
        return values_[number];
    }
    PyObject* first(const GuardStep& step) { return step.input == 0 ? Py_None : state(step.input).value; }
    bool all_proven(const GuardStep& step) {
        return std::ranges::all_of(step.inputs, [&](std::uint32_t input) { return input == 0 || state(input).proven; });
    }

    bool take_accessor(const GuardStep& step) {
        const Found value = all_proven(step) ? read(step, first(step)) : Found{};
        if (value.proven) {
            state(step.result) = {true, value.value, 0};
            return value.value != nullptr;
        }
        // Dynamo went into the property, and guards what that reads; so it does not raise now, either.
        if (value.runs_property && !used_[static_cast<std::size_t>(step.position)]) return true;
        keep(step);
        return true;
    }

    // A local or free variable; those of *args and **kwargs are made for each call.
    Found local(std::size_t number) {
        PyObject* value = number < frame_.locals.size() ? frame_.locals[number] : nullptr;
        if (value == nullptr || varying_.contains(number) || PyTuple_CheckExact(value) || PyDict_CheckExact(value)) return {};
        made_.roots_.push_back({number, value});
        return {true, value};
    }

    // The step is evaluated at each call.
    void keep(const GuardStep& step) {
        GuardStep kept = step;
        if (step.operation == distinct) separate(kept);
        for (std::uint32_t& input : kept.inputs) input = number_of(input);
        kept.input = kept.inputs.empty() ? 0 : kept.inputs[0];
        if (yields(step.operation)) {
            kept.result = k_of_rest + static_cast<std::uint32_t>(made_.count_++);
            state(step.result) = {false, nullptr, kept.result};
        }
        made_.rest_.push_back(std::move(kept));
    }

    std::uint32_t number_of(std::uint32_t input) {
        if (input == 0) return 0;
        State& value = state(input);
        if (value.number == 0) value.number = number_of_known(value.value);
        return value.number;
    }

    std::uint32_t number_of_known(PyObject* value) {
        const auto [known, is_new] = known_.emplace(value, static_cast<std::uint32_t>(known_.size() + 1));
        if (is_new) made_.known_.push_back(value);
        return known->second;
    }

    // Of values that must be distinct the proven ones are, and stay so.
    void separate(GuardStep& step) {
        for (const std::uint32_t input : step.inputs) {
            if (state(input).proven) step.others.push_back(state(input).value);
        }
        std::erase_if(step.inputs, [&](std::uint32_t input) { return state(input).proven; });
        std::ranges::sort(step.others);
    }

    Found read(const GuardStep& step, PyObject* value) {
        GuardWords& words = made_.words_;
        PyObject* operand = step.operand.get();
        auto* function = reinterpret_cast<PyFunctionObject*>(value);
        switch (step.operation) {
            case GuardOperation::local: return local(static_cast<std::size_t>(step.number));
            case globals: return {true, frame_.globals};
            case constant: return {true, operand};
            case getattr: return words.attribute(value, operand);
            case generic_getattr: return words.generic_attribute(value, operand);
            case getitem: return words.item(value, operand);
            case dict_getitem: return words.dict_item(value, operand);
            case list_getitem: return words.list_item(value, step.number);
            case tuple_getitem: return words.tuple_item(value, step.number);
            case closure: return words.function_slot(value, &function->func_closure);
            case code: return words.function_slot(value, &function->func_code);
            case defaults: return words.function_slot(value, &function->func_defaults);
            case kwdefaults: return words.function_slot(value, &function->func_kwdefaults);
            case type: return {words.type_of(value), reinterpret_cast<PyObject*>(Py_TYPE(value))};
            case type_mro: return words.method_order(value);
            case type_dict: return words.type_dict(value);
            case generic_dict: return words.instance_dict(value);
            case dict_key: return {words.content_of_dict(value), dict_entry(value, step.number, false)};
            case dict_value: return {words.content_of_dict(value), dict_entry(value, step.number, true)};
            case weakref_call: return words.referent(value);
            default: return {};
        }
    }

    bool is_proven(const GuardStep& step) {
        if (!all_proven(step) || step.inputs.empty()) return false;
        PyObject* value = first(step);
        PyObject* operand = step.operand.get();
        GuardWords& words = made_.words_;
        switch (step.operation) {
            case type_match: return words.type_of(value);
            case id_match:
            case none_match:
            case not_none:
            case same:
            case distinct: return true;
            case equals_match: return value == operand || words.value_of(value);
            case float_is_nan:
            case complex_is_nan: return words.value_of(value);
            case length: return words.length_of(value);
            case dict_length:
            case dict_size_match: return words.content_of_dict(value);
            case dict_contains:
            case dict_lacks: return words.dict_item(value, operand).proven;
            case no_hasattr: return words.attribute(value, operand).proven;
            case unmarked_tensor: return is_unmarked(step, value);
            case bound_function: return words.code_of(value);
            default: return false;
        }
    }

    bool holds(const GuardStep& step) {
        if (step.operation != same && step.operation != distinct) return checks_.holds_for(step, first(step));
        std::unordered_set<PyObject*> different;
        for (const std::uint32_t input : step.inputs) different.insert(state(input).value);
        return different.size() == (step.operation == same ? 1 : step.inputs.size());
    }

    bool is_unmarked(const GuardStep& step, PyObject* tensor) {
        PyObject* names = PyTuple_GET_ITEM(step.operand.get(), 1);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
            const Found mark = made_.words_.attribute(tensor, PyTuple_GET_ITEM(names, i));
            if (!mark.proven || mark.value != nullptr) return false;
        }
        return true;
    }

    // Of an expression of dynamo code.
    Found read(const GraphCall::Expression& expression, const std::vector<Found>& earlier, PyObject* function) {
        using Kind = GraphCall::Kind;
        GuardWords& words = made_.words_;
        const std::size_t free = static_cast<std::size_t>(closure_size(function));
        switch (expression.kind) {
            case Kind::local:
            case Kind::captured:
                return expression.argument + free < frame_.locals.size() ? local(expression.argument) : Found{};
            case Kind::free: return local(frame_.locals.size() - free + expression.base);
            case Kind::global: return words.dict_item(PyFunction_GET_GLOBALS(function), expression.operand);
            case Kind::constant: return {true, expression.operand};
            case Kind::call:
            case Kind::helper:
            case Kind::holds: return {};
            case Kind::attribute:
            case Kind::item: break;
        }
        const Found& base = earlier[expression.base];
        if (!base.proven || base.value == nullptr) return {};
        return expression.kind == Kind::attribute ? words.attribute(base.value, expression.operand)
                                                  : words.item(base.value, expression.operand);
    }

    static Py_ssize_t closure_size(PyObject* function) {
        PyObject* closure = PyFunction_GET_CLOSURE(function);
        return closure != nullptr ? PyTuple_GET_SIZE(closure) : 0;
    }

    GuardReduction& made_;
    const BoundFrame& frame_;
    const LocalNumbers& varying_;
    std::vector<bool> used_;  // by step: whether another one reads what it yields
    GuardValues checks_;
    std::vector<State> values_;
    std::unordered_map<PyObject*, std::uint32_t> known_;
};

GuardReduction::GuardReduction(const std::vector<GuardStep>& steps, PyObject* function, const BoundFrame& frame,
                               const LocalNumbers& varying)
    : globals_(frame.globals) {
    Builder builder(*this, steps, frame, varying);
    valid_ = std::ranges::all_of(steps, [&](const GuardStep& step) { return builder.take(step); });
    if (valid_ && function != nullptr) builder.bind(function);
    builder.finish();
    words_.seal();
}

bool GuardReduction::applies(const BoundFrame& frame) {
    return frame.globals == globals_ &&
           std::ranges::all_of(roots_, [&](const Root& root) { return frame.locals[root.local] == root.value; }) &&
           words_.hold();
}

std::ptrdiff_t GuardReduction::check(const BoundFrame& frame) const {
    GuardValues values(frame, known_, known_.size() + count_);
    for (const GuardStep& step : rest_) {
        if (!values.passes(step)) return step.position;
    }
    return -1;
}

void GuardReduction::find_varying(const BoundFrame& frame, LocalNumbers& varying) const {
    for (const Root& root : roots_) {
        if (frame.locals[root.local] != root.value) varying.insert(root.local);
    }
}

Ref GuardReduction::kept_steps() const {
    Ref result = owned(PyList_New(0));
    for (const GuardStep& step : rest_) {
        const Ref position = owned(PyLong_FromSsize_t(step.position));
        python::check(PyList_Append(result.get(), position.get()));
    }
    return result;
}

int GuardReduction::traverse(visitproc visit, void* arg) const {
    for (const GuardStep& step : rest_) Py_VISIT(step.operand.get());
    Py_VISIT(callee_.get());
    return words_.traverse(visit, arg);
}

}  // namespace coldframe::python
