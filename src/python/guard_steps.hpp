// The steps of a guard program: what is read, and what must hold of it.
//
// A step reads values and either yields one (an accessor) or says yes or no (a check). Operands are objects of this process:
// whoever makes the steps has resolved what a guard program holds by name. Value 0 is the frame, whose locals come bound; a
// number may be used again for a later value.
//
//   std::vector<GuardStep> steps = to_guard_steps(sequence);   // of (operation, inputs, result, operand, number)
//   Ref kept = to_object(steps);                               // for Python to hold, and for to_guard_steps
//
// Failure: PythonError.
#pragma once

#include <python/bridge.hpp>

#include <cstdint>
#include <vector>

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
    none_or,
    bound_function,
    // Of the process, of several values, of the whole frame.
    holds,
    same,
    distinct,
    tensors,
    frame_test,
    premise,
};

[[nodiscard]] constexpr bool yields(GuardOperation operation) { return operation <= GuardOperation::apply; }

struct GuardStep {
    GuardOperation operation{};
    std::uint32_t input = 0;   // the first of the inputs, 0 when there is none
    std::uint32_t result = 0;  // of an accessor
    Py_ssize_t number = 0;
    std::ptrdiff_t position = 0;  // in the program
    Ref operand;
    std::vector<std::uint32_t> inputs;
    std::vector<PyObject*> others;  // of `distinct`: what the inputs must not be either; sorted, only compared
};

// `values`: how many there are before the first step.
[[nodiscard]] std::vector<GuardStep> to_guard_steps(PyObject* steps, std::size_t values = 1);
[[nodiscard]] Ref to_object(std::vector<GuardStep> steps);

// Every operation by name, and whether it yields a value.
[[nodiscard]] Ref guard_operations();

}  // namespace coldframe::python
