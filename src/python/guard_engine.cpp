#include <python/guard_engine.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace coldframe::python {

enum class GuardOperation : std::uint8_t {
    // Accessors.
    local,
    globals,
    constant,
    call,
    getattr,
    generic_getattr,
    getitem,
    dict_getitem,
    list_getitem,
    tuple_getitem,
    closure,
    code,
    defaults,
    kwdefaults,
    type,
    type_mro,
    type_dict,
    generic_dict,
    dict_key,
    dict_value,
    weakref_call,
    call_no_args,
    apply,
    // Checks.
    type_match,
    id_match,
    equals_match,
    length,
    dict_length,
    dict_size_match,
    dict_contains,
    dict_lacks,
    set_contains,
    set_lacks,
    mapping_keys,
    no_hasattr,
    none_match,
    not_none,
    float_is_nan,
    complex_is_nan,
    unmarked_tensor,
    test,
    // Of the process, of several values, of the whole frame.
    holds,
    same,
    distinct,
    tensors,
    frame_test,
};

namespace {

using enum GuardOperation;

struct Name {
    std::string_view name;
    GuardOperation operation;
};

constexpr std::array k_names = {
    Name{"local", local},
    Name{"globals", globals},
    Name{"constant", constant},
    Name{"call", call},
    Name{"getattr", getattr},
    Name{"generic_getattr", generic_getattr},
    Name{"getitem", getitem},
    Name{"dict_getitem", dict_getitem},
    Name{"list_getitem", list_getitem},
    Name{"tuple_getitem", tuple_getitem},
    Name{"closure", closure},
    Name{"code", code},
    Name{"defaults", defaults},
    Name{"kwdefaults", kwdefaults},
    Name{"type", type},
    Name{"type_mro", type_mro},
    Name{"type_dict", type_dict},
    Name{"generic_dict", generic_dict},
    Name{"dict_key", dict_key},
    Name{"dict_value", dict_value},
    Name{"weakref_call", weakref_call},
    Name{"call_no_args", call_no_args},
    Name{"apply", apply},
    Name{"type_match", type_match},
    Name{"id_match", id_match},
    Name{"equals_match", equals_match},
    Name{"length", length},
    Name{"dict_length", dict_length},
    Name{"dict_size_match", dict_size_match},
    Name{"dict_contains", dict_contains},
    Name{"dict_lacks", dict_lacks},
    Name{"set_contains", set_contains},
    Name{"set_lacks", set_lacks},
    Name{"mapping_keys", mapping_keys},
    Name{"no_hasattr", no_hasattr},
    Name{"none_match", none_match},
    Name{"not_none", not_none},
    Name{"float_is_nan", float_is_nan},
    Name{"complex_is_nan", complex_is_nan},
    Name{"unmarked_tensor", unmarked_tensor},
    Name{"test", test},
    Name{"holds", holds},
    Name{"same", same},
    Name{"distinct", distinct},
    Name{"tensors", tensors},
    Name{"frame_test", frame_test},
};

constexpr bool yields(GuardOperation operation) { return operation <= apply; }

GuardOperation operation_of(PyObject* name) {
    const std::string text = to_utf8(name);
    const auto found = std::ranges::find(k_names, std::string_view(text), &Name::name);
    if (found == k_names.end()) raise({ErrorCode::invalid_argument, "unknown guard operation '" + text + "'", ""});
    return found->operation;
}

PyObject* item(PyObject* tuple, Py_ssize_t index) { return PyTuple_GET_ITEM(tuple, index); }

std::uint32_t to_index(PyObject* number) {
    const unsigned long value = PyLong_AsUnsignedLong(number);
    if (PyErr_Occurred() != nullptr) throw PythonError();
    if (value > 0xFFFFFF) raise({ErrorCode::invalid_argument, "a guard program with too many values", ""});
    return static_cast<std::uint32_t>(value);
}

// The entry at a position of a dict's order.
PyObject* entry_at(PyObject* dict, Py_ssize_t index, bool value) {
    if (!PyDict_Check(dict)) return nullptr;
    Py_ssize_t position = 0;
    PyObject* key = nullptr;
    PyObject* found = nullptr;
    for (Py_ssize_t i = 0; PyDict_Next(dict, &position, &key, &found) != 0; ++i) {
        if (i == index) return value ? found : key;
    }
    return nullptr;
}

PyObject* borrowed(PyObject* object) { return Py_XNewRef(object); }

PyObject* of_function(PyObject* object, PyObject* (*get)(PyObject*)) {
    return PyFunction_Check(object) ? borrowed(get(object)) : nullptr;
}

bool is_true(PyObject* result) {
    const Ref owner = Ref::steal(result);
    return result != nullptr && PyObject_IsTrue(result) == 1;
}

// torch compares by type first: 1 is not True.
bool equals(PyObject* value, PyObject* expected) {
    return value == expected || (Py_TYPE(value) == Py_TYPE(expected) && PyObject_RichCompareBool(value, expected, Py_EQ) == 1);
}

bool has_keys(PyObject* mapping, PyObject* expected) {
    const Ref keys = Ref::steal(PyMapping_Keys(mapping));
    return keys && PyObject_RichCompareBool(keys.get(), expected, Py_EQ) == 1;
}

// `operand`: a tuple of the types whose instances keep attributes in their dict alone, and one of attribute names, none of
// which may be there.
bool is_unmarked(PyObject* value, PyObject* operand) {
    PyObject* plain = item(operand, 0);
    PyObject* names = item(operand, 1);
    const auto* type = reinterpret_cast<PyObject*>(Py_TYPE(value));
    bool is_plain = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(plain); ++i) is_plain = is_plain || item(plain, i) == type;
    PyObject** dict = is_plain ? _PyObject_GetDictPtr(value) : nullptr;
    if (is_plain && (dict == nullptr || *dict == nullptr || PyDict_GET_SIZE(*dict) == 0)) return true;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
        if (PyObject_HasAttr(value, item(names, i)) != 0) return false;
    }
    return true;
}

}  // namespace

GuardEngine::GuardEngine(PyObject* steps) {
    const Ref sequence = owned(PySequence_Fast(steps, "a sequence of steps is expected"));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence.get()); ++i) {
        PyObject* tuple = PySequence_Fast_GET_ITEM(sequence.get(), i);
        if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != 5 || !PyTuple_Check(item(tuple, 1))) {
            raise({ErrorCode::invalid_argument, "a step is (operation, inputs, result, operand, number)", ""});
        }
        Step step;
        step.operation = operation_of(item(tuple, 0));
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(item(tuple, 1)); ++k) {
            step.inputs.push_back(to_index(item(item(tuple, 1), k)));
            if (step.inputs.back() >= values_) raise({ErrorCode::invalid_argument, "a step reads what no step yields", ""});
        }
        step.input = step.inputs.empty() ? 0 : step.inputs[0];
        if (yields(step.operation)) {
            step.result = to_index(item(tuple, 2));
            values_ = std::max<std::size_t>(values_, step.result + std::size_t{1});
        }
        step.operand = Ref::borrow(item(tuple, 3));
        const bool wants_tuple = step.operation == unmarked_tensor;
        if (wants_tuple && (!PyTuple_Check(step.operand.get()) || PyTuple_GET_SIZE(step.operand.get()) != 2)) {
            raise({ErrorCode::invalid_argument, "unmarked_tensor takes types and names", ""});
        }
        step.number = PyLong_AsSsize_t(item(tuple, 4));
        if (PyErr_Occurred() != nullptr) throw PythonError();
        steps_.push_back(std::move(step));
    }
}

int GuardEngine::traverse(visitproc visit, void* arg) const {
    for (const Step& step : steps_) Py_VISIT(step.operand.get());
    return 0;
}

// One evaluation: the values so far, each owned.
class GuardEngine::Run {
   public:
    Run(const BoundFrame& frame, std::size_t values) : frame_(frame), values_(values, nullptr) {}
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() {
        for (PyObject* value : values_) Py_XDECREF(value);
    }

    bool passes(const Step& step) {
        PyObject* value = step.input == 0 ? Py_None : values_[step.input];
        if (value == nullptr) return false;  // of a step that was left out
        if (!yields(step.operation)) return holds_for(step, value);
        PyObject* result = read(step, value);
        if (result == nullptr) return false;
        Py_XSETREF(values_[step.result], result);
        return true;
    }

   private:
    PyObject* read(const Step& step, PyObject* value) const {
        PyObject* operand = step.operand.get();
        const Py_ssize_t number = step.number;
        switch (step.operation) {
            case local:
                return number >= 0 && static_cast<std::size_t>(number) < frame_.locals.size()
                           ? borrowed(frame_.locals[static_cast<std::size_t>(number)])
                           : nullptr;
            case globals: return borrowed(frame_.globals);
            case constant: return borrowed(operand);
            case GuardOperation::call: return PyObject_CallNoArgs(operand);
            case getattr: return PyObject_GetAttr(value, operand);
            case generic_getattr: return PyObject_GenericGetAttr(value, operand);
            case getitem: return PyObject_GetItem(value, operand);
            case dict_getitem: return PyDict_Check(value) ? borrowed(PyDict_GetItemWithError(value, operand)) : nullptr;
            case list_getitem: return PyList_Check(value) ? borrowed(PyList_GetItem(value, number)) : nullptr;
            case tuple_getitem: return PyTuple_Check(value) ? borrowed(PyTuple_GetItem(value, number)) : nullptr;
            case closure: return of_function(value, PyFunction_GetClosure);
            case code: return of_function(value, PyFunction_GetCode);
            case defaults: return of_function(value, PyFunction_GetDefaults);
            case kwdefaults: return of_function(value, PyFunction_GetKwDefaults);
            case type: return borrowed(reinterpret_cast<PyObject*>(Py_TYPE(value)));
            case type_mro: return PyType_Check(value) ? borrowed(reinterpret_cast<PyTypeObject*>(value)->tp_mro) : nullptr;
            case type_dict: return PyType_Check(value) ? borrowed(reinterpret_cast<PyTypeObject*>(value)->tp_dict) : nullptr;
            case generic_dict: return PyObject_GenericGetDict(value, nullptr);
            case dict_key: return borrowed(entry_at(value, number, false));
            case dict_value: return borrowed(entry_at(value, number, true));
            case weakref_call: return PyWeakref_Check(value) ? weakref_target(value) : nullptr;
            case call_no_args: return PyObject_CallNoArgs(value);
            case apply: return PyObject_CallOneArg(operand, value);
            default: return nullptr;
        }
    }

    bool holds_for(const Step& step, PyObject* value) const {
        PyObject* operand = step.operand.get();
        switch (step.operation) {
            case type_match: return reinterpret_cast<PyObject*>(Py_TYPE(value)) == operand;
            case id_match: return value == operand;
            case equals_match: return equals(value, operand);
            case length: return PySequence_Check(value) != 0 && PySequence_Size(value) == step.number;
            case dict_length: return PyDict_Check(value) && PyDict_Size(value) == step.number;
            case dict_size_match:
                return reinterpret_cast<PyObject*>(Py_TYPE(value)) == operand && PyDict_Check(value) &&
                       PyDict_Size(value) == step.number;
            case dict_contains: return PyDict_Check(value) && PyDict_Contains(value, operand) == 1;
            case dict_lacks: return PyDict_Check(value) && PyDict_Contains(value, operand) == 0;
            case set_contains: return PyAnySet_Check(value) && PySet_Contains(value, operand) == 1;
            case set_lacks: return PyAnySet_Check(value) && PySet_Contains(value, operand) == 0;
            case mapping_keys: return PyMapping_Check(value) != 0 && has_keys(value, operand);
            case no_hasattr: return PyObject_HasAttr(value, operand) == 0;
            case none_match: return value == Py_None;
            case not_none: return value != Py_None;
            case float_is_nan: return PyFloat_CheckExact(value) && std::isnan(PyFloat_AS_DOUBLE(value));
            case complex_is_nan: {
                if (!PyComplex_CheckExact(value)) return false;
                const Py_complex number = PyComplex_AsCComplex(value);
                return std::isnan(number.real) || std::isnan(number.imag);
            }
            case unmarked_tensor: return is_unmarked(value, operand);
            case test: return is_true(PyObject_CallOneArg(operand, value));
            case holds: return is_true(PyObject_CallNoArgs(operand));
            case same: return std::ranges::all_of(step.inputs, [&](std::uint32_t input) { return values_[input] == value; });
            case distinct: return are_distinct(step);
            case tensors: return is_true(call_with_inputs(operand, step));
            case frame_test: return is_true(call_with_locals(operand));
            default: return false;
        }
    }

    bool are_distinct(const Step& step) const {
        std::vector<PyObject*> found;
        for (const std::uint32_t input : step.inputs) found.push_back(values_[input]);
        std::ranges::sort(found);
        return std::ranges::adjacent_find(found) == found.end();
    }

    PyObject* call_with_inputs(PyObject* callee, const Step& step) const {
        std::vector<PyObject*> arguments;
        for (const std::uint32_t input : step.inputs) {
            if (values_[input] == nullptr) return nullptr;
            arguments.push_back(values_[input]);
        }
        return PyObject_Vectorcall(callee, arguments.data(), arguments.size(), nullptr);
    }

    PyObject* call_with_locals(PyObject* callee) const {
        const Ref dict = Ref::steal(PyDict_New());
        if (!dict) return nullptr;
        for (std::size_t i = 0; i < frame_.locals.size(); ++i) {
            PyObject* value = frame_.locals[i];
            if (value == nullptr) continue;
            if (PyDict_SetItem(dict.get(), item(frame_.names, static_cast<Py_ssize_t>(i)), value) < 0) return nullptr;
        }
        return PyObject_CallOneArg(callee, dict.get());
    }

    const BoundFrame& frame_;
    std::vector<PyObject*> values_;
};

std::ptrdiff_t GuardEngine::check(const BoundFrame& frame) const {
    Run run(frame, values_);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
        if (!run.passes(steps_[i])) {
            PyErr_Clear();
            return static_cast<std::ptrdiff_t>(i);
        }
    }
    return k_holds;
}

Ref guard_operations() {
    Ref result = owned(PyDict_New());
    for (const Name& name : k_names) {
        const Ref key = from_utf8(name.name);
        check(PyDict_SetItem(result.get(), key.get(), yields(name.operation) ? Py_True : Py_False));
    }
    return result;
}

}  // namespace coldframe::python
