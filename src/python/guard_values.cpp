#include <python/guard_values.hpp>

#include <algorithm>
#include <cmath>

namespace coldframe::python {

PyObject* dict_entry(PyObject* dict, Py_ssize_t index, bool value) {
    if (!PyDict_Check(dict)) return nullptr;
    Py_ssize_t position = 0;
    PyObject* key = nullptr;
    PyObject* found = nullptr;
    for (Py_ssize_t i = 0; PyDict_Next(dict, &position, &key, &found) != 0; ++i) {
        if (i == index) return value ? found : key;
    }
    return nullptr;
}

namespace {

using enum GuardOperation;

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
    PyObject* plain = PyTuple_GET_ITEM(operand, 0);
    PyObject* names = PyTuple_GET_ITEM(operand, 1);
    const auto* type = reinterpret_cast<PyObject*>(Py_TYPE(value));
    bool is_plain = false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(plain); ++i) is_plain = is_plain || PyTuple_GET_ITEM(plain, i) == type;
    PyObject** dict = is_plain ? _PyObject_GetDictPtr(value) : nullptr;
    if (is_plain && (dict == nullptr || *dict == nullptr || PyDict_GET_SIZE(*dict) == 0)) return true;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i) {
        if (has_attribute(value, PyTuple_GET_ITEM(names, i))) return false;
    }
    return true;
}

}  // namespace

GuardValues::GuardValues(const BoundFrame& frame, std::span<PyObject* const> known, std::size_t count)
    : frame_(frame), known_(known.size() + 1), values_(std::max(count, known.size()) + 1, nullptr) {
    std::ranges::copy(known, values_.begin() + 1);
}

bool GuardValues::passes(const GuardStep& step) {
    PyObject* value = step.input == 0 ? Py_None : values_[step.input];
    if (value == nullptr) return false;  // of a step that was left out
    if (!yields(step.operation)) return holds_for(step, value);
    PyObject* result = read(step, value);
    if (result == nullptr) return false;
    Py_XSETREF(values_[step.result], result);
    return true;
}

PyObject* GuardValues::read(const GuardStep& step, PyObject* value) const {
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
        case dict_key: return borrowed(dict_entry(value, number, false));
        case dict_value: return borrowed(dict_entry(value, number, true));
        case weakref_call: return PyWeakref_Check(value) ? weakref_target(value) : nullptr;
        case call_no_args: return PyObject_CallNoArgs(value);
        case apply: return PyObject_CallOneArg(operand, value);
        default: return nullptr;
    }
}

bool GuardValues::holds_for(const GuardStep& step, PyObject* value) const {
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
        case no_hasattr: return !has_attribute(value, operand);
        case none_match: return value == Py_None;
        case not_none: return value != Py_None;
        case float_is_nan: return PyFloat_CheckExact(value) && std::isnan(PyFloat_AS_DOUBLE(value));
        case complex_is_nan: {
            if (!PyComplex_CheckExact(value)) return false;
            const Py_complex number = PyComplex_AsCComplex(value);
            return std::isnan(number.real) || std::isnan(number.imag);
        }
        case unmarked_tensor: return is_unmarked(value, operand);
        case none_or: return value == Py_None || is_true(PyObject_CallOneArg(operand, value));
        case test:
        case bound_function: return is_true(PyObject_CallOneArg(operand, value));
        case holds: return is_true(PyObject_CallNoArgs(operand));
        case same: return std::ranges::all_of(step.inputs, [&](std::uint32_t input) { return values_[input] == value; });
        case distinct: return are_distinct(step);
        case tensors: return is_true(call_with_inputs(operand, step));
        case frame_test:
        case premise: return is_true(call_with_locals(operand));
        default: return false;
    }
}

bool GuardValues::are_distinct(const GuardStep& step) const {
    std::vector<PyObject*> found;
    for (const std::uint32_t input : step.inputs) found.push_back(values_[input]);
    std::ranges::sort(found);
    return std::ranges::adjacent_find(found) == found.end() &&
           std::ranges::none_of(found, [&](PyObject* value) { return std::ranges::binary_search(step.others, value); });
}

PyObject* GuardValues::call_with_inputs(PyObject* callee, const GuardStep& step) const {
    std::vector<PyObject*> arguments;
    for (const std::uint32_t input : step.inputs) {
        if (values_[input] == nullptr) return nullptr;
        arguments.push_back(values_[input]);
    }
    return PyObject_Vectorcall(callee, arguments.data(), arguments.size(), nullptr);
}

PyObject* GuardValues::call_with_locals(PyObject* callee) const {
    const Ref dict = Ref::steal(PyDict_New());
    if (!dict) return nullptr;
    for (std::size_t i = 0; i < frame_.locals.size(); ++i) {
        PyObject* value = frame_.locals[i];
        if (value == nullptr) continue;
        if (PyDict_SetItem(dict.get(), PyTuple_GET_ITEM(frame_.names, static_cast<Py_ssize_t>(i)), value) < 0) return nullptr;
    }
    return PyObject_CallOneArg(callee, dict.get());
}

}  // namespace coldframe::python
