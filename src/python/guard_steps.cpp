#include <python/guard_steps.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

namespace coldframe::python {
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
    Name{"none_or", none_or},
    Name{"bound_function", bound_function},
    Name{"holds", holds},
    Name{"same", same},
    Name{"distinct", distinct},
    Name{"tensors", tensors},
    Name{"frame_test", frame_test},
    Name{"premise", premise},
};

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

GuardStep to_step(PyObject* tuple, std::size_t values) {
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != 5 || !PyTuple_Check(item(tuple, 1))) {
        raise({ErrorCode::invalid_argument, "a step is (operation, inputs, result, operand, number)", ""});
    }
    GuardStep step;
    step.operation = operation_of(item(tuple, 0));
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(item(tuple, 1)); ++k) {
        step.inputs.push_back(to_index(item(item(tuple, 1), k)));
        if (step.inputs.back() >= values) raise({ErrorCode::invalid_argument, "a step reads what no step yields", ""});
    }
    step.input = step.inputs.empty() ? 0 : step.inputs[0];
    if (yields(step.operation)) step.result = to_index(item(tuple, 2));
    step.operand = Ref::borrow(item(tuple, 3));
    PyObject* operand = step.operand.get();
    if (step.operation == unmarked_tensor && (!PyTuple_Check(operand) || PyTuple_GET_SIZE(operand) != 2)) {
        raise({ErrorCode::invalid_argument, "unmarked_tensor takes types and names", ""});
    }
    step.number = PyLong_AsSsize_t(item(tuple, 4));
    if (PyErr_Occurred() != nullptr) throw PythonError();
    return step;
}

constexpr const char* k_capsule = "coldframe.guard_steps";

std::vector<GuardStep>* steps_in(PyObject* capsule) {
    return static_cast<std::vector<GuardStep>*>(PyCapsule_GetPointer(capsule, k_capsule));
}

}  // namespace

std::vector<GuardStep> to_guard_steps(PyObject* steps, std::size_t values) {
    if (PyCapsule_IsValid(steps, k_capsule) != 0) return *steps_in(steps);
    std::vector<GuardStep> result;
    const Ref sequence = owned(PySequence_Fast(steps, "a sequence of steps is expected"));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence.get()); ++i) {
        result.push_back(to_step(PySequence_Fast_GET_ITEM(sequence.get(), i), values));
        result.back().position = i;
        values = std::max<std::size_t>(values, result.back().result + std::size_t{1});
    }
    return result;
}

Ref to_object(std::vector<GuardStep> steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) steps[i].position = static_cast<std::ptrdiff_t>(i);
    auto kept = std::make_unique<std::vector<GuardStep>>(std::move(steps));
    Ref capsule = owned(PyCapsule_New(kept.get(), k_capsule, [](PyObject* self) { delete steps_in(self); }));
    (void)kept.release();
    return capsule;
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
