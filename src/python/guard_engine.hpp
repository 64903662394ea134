// Runs the guards of one compilation natively: no guard manager of torch, no import of Dynamo.
//
// A step reads values and either yields one (an accessor) or says yes or no (a check). Operands are objects of this process:
// whoever makes the steps has resolved what a guard program holds by name. Value 0 is the frame, whose locals come bound.
//
//   GuardEngine engine(steps);                                  // a sequence of (operation, inputs, result, operand, number)
//   std::ptrdiff_t refused = engine.check({locals, names, globals});     // the number of the step that refuses, or k_holds
//
// What raises refuses, and the exception is dropped, as torch's guards do. Thread-safety: needs the GIL; a check may run
// Python code, and so other threads and itself again. Failure: the constructor throws PythonError.
#pragma once

#include <python/bridge.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace coldframe::python {

struct BoundFrame {
    std::span<PyObject* const> locals;  // borrowed; null where a name is not bound
    PyObject* names;                    // a tuple of as many str
    PyObject* globals;
};

enum class GuardOperation : std::uint8_t;

class GuardEngine {
   public:
    static constexpr std::ptrdiff_t k_holds = -1;

    explicit GuardEngine(PyObject* steps);
    [[nodiscard]] std::ptrdiff_t check(const BoundFrame& frame) const;
    [[nodiscard]] int traverse(visitproc visit, void* argument) const;

   private:
    struct Step {
        GuardOperation operation{};
        std::uint32_t input = 0;
        std::uint32_t result = 0;
        Py_ssize_t number = 0;
        Ref operand;
        std::vector<std::uint32_t> inputs;
    };
    class Run;

    std::vector<Step> steps_;
    std::size_t values_ = 1;
};

// Every operation by name, and whether it yields a value.
[[nodiscard]] Ref guard_operations();

}  // namespace coldframe::python
