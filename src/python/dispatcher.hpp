// The callable that serves a function's compiled variants: vectorcall, no Python frame of ours, no Dynamo.
//
//   Dispatcher(function, miss, *first)         function: the Python function whose calls are served; miss: called with what
//                                              no variant serves; first: goes before the arguments of each call
//   .set_plan(variants)                        (steps, callable, on_first_hit) of each, tried in order, the last one that
//                                              served first
//   .over_closure(cells, miss)                 the same variants for the same function over other cells: what a resume function
//                                              with free variables is at each call
//   .names                                     names of the locals, by the numbers that the guards' `local` steps have
//   .reductions                                how the guards of each variant are evaluated now
//
// Once the function has another code or other defaults than when it was made, every call is a miss. Arguments are bound as
// CPython binds them; a call that does not fit the signature goes to `function`, which says why. Thread-safety: the GIL; a plan
// may be replaced while calls run. Failure: what the called object raises.
#pragma once

#include <python/bridge.hpp>

namespace coldframe::python {

// A new reference to the type.
[[nodiscard]] Ref make_dispatcher_type();

}  // namespace coldframe::python
