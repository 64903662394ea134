// Lowers a guard program to steps of the guard engine, with every operand resolved in this process.
//
// What needs torch, or objects that are bound once, is left to `rare`, an object of Python:
//
//   rare.lower(number, parent, next)   the op with this number -> (steps, last steps, next); `parent` is the value that the
//                                      op's first input was read of, `next` the first number of a value that is free
//   rare.tensors(nodes, infos)         the steps that check these tensors
//   rare.unsupported(reason)           raises
//   rare.unmarked                      the operand of GuardOperation::unmarked_tensor
//   rare.objects                       dict: number of an op -> the object that its guard on an identity is bound to
//
//   Ref steps = lower_guards(program, {names, lazy, rare}, before);   // for to_guard_steps
//
// Thread-safety: needs the GIL. Failure: PythonError.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/guard_program.hpp>

namespace coldframe::python {

struct LoweringContext {
    PyObject* names;  // tuple of str: the locals of the frame
    PyObject* lazy;   // set of str: aliases of modules that are not imported, on which guards hold
    PyObject* rare;
};

// `before`: steps that come first, of values of their own.
[[nodiscard]] Ref lower_guards(const GuardProgram& program, const LoweringContext& context, PyObject* before);

}  // namespace coldframe::python
