// Runs the guards of one compilation natively: no guard manager of torch, no import of Dynamo.
//
//   GuardEngine engine(steps, function);                        // see guard_steps.hpp; the function that they guard, or null
//   GuardPins pins;                                             // lives as long as the call
//   GuardVerdict verdict = engine.check({locals, names, globals}, pins);
//   if (verdict.refused == k_holds) ... verdict.callee ...
//
// What raises refuses, and the exception is dropped, as torch's guards do. A program that held is reduced to words of memory
// and the steps that words cannot prove; when a word has changed, the whole program decides again. Thread-safety: needs the
// GIL; a check may run Python code, and so other threads and itself again. Failure: the constructor throws PythonError.
#pragma once

#include <python/guard_reduction.hpp>

#include <memory>

namespace coldframe::python {

struct GuardVerdict {
    static constexpr std::ptrdiff_t k_holds = -1;

    std::ptrdiff_t refused = k_holds;  // the position of the step that refuses
    Ref callee;                        // when it holds: the function, or one that does the same with less
};

class GuardEngine {
   public:
    explicit GuardEngine(PyObject* steps, PyObject* function = nullptr)
        : steps_(to_guard_steps(steps)), function_(Ref::borrow(function)) {}
    [[nodiscard]] GuardVerdict check(const BoundFrame& frame, GuardPins& pins);
    [[nodiscard]] PyObject* function() const { return function_.get(); }
    [[nodiscard]] int traverse(visitproc visit, void* argument) const;
    // (how many words prove the program, positions of the steps that they cannot prove, whether arguments of the graph are
    // bound) for Python; None as long as the whole program is evaluated.
    [[nodiscard]] Ref describe_reduction() const;

   private:
    [[nodiscard]] std::ptrdiff_t check_all(const BoundFrame& frame) const;
    // Gives what it replaces.
    [[nodiscard]] std::unique_ptr<GuardReduction> reduce(const BoundFrame& frame);

    std::vector<GuardStep> steps_;
    Ref function_;
    std::unique_ptr<GuardReduction> reduction_;
    LocalNumbers varying_;
    std::vector<PyObject*> before_;  // locals of the first check that held; only compared
    int busy_ = 0;                   // checks that are running
    std::uint32_t served_ = 0;       // checks that the reduction decided
    std::uint32_t patience_ = 0;     // checks to let pass before it is worth a reduction again
    std::uint32_t waited_ = 0;
};

}  // namespace coldframe::python
