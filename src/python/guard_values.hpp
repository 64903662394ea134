// The values of one evaluation of guard steps.
//
//   GuardValues values(frame, {}, 12);                         // room for value numbers up to 12
//   values.passes(step)                                        // false: it refuses; an exception may be set
//
// Thread-safety: needs the GIL; a step may run Python code, and so other threads.
#pragma once

#include <python/guard_steps.hpp>

#include <span>

namespace coldframe::python {

struct BoundFrame {
    std::span<PyObject* const> locals;  // borrowed; null where a name is not bound
    PyObject* names;                    // a tuple of as many str
    PyObject* globals;
};

class GuardValues {
   public:
    // `known`: the values with the first numbers, from 1 on, which whoever gives them keeps.
    GuardValues(const BoundFrame& frame, std::span<PyObject* const> known, std::size_t count);
    GuardValues(const GuardValues&) = delete;
    GuardValues& operator=(const GuardValues&) = delete;
    ~GuardValues() {
        for (std::size_t i = known_; i < values_.size(); ++i) Py_XDECREF(values_[i]);
    }

    [[nodiscard]] bool passes(const GuardStep& step);
    // A check of a value, its first input.
    [[nodiscard]] bool holds_for(const GuardStep& step, PyObject* value) const;

   private:
    [[nodiscard]] PyObject* read(const GuardStep& step, PyObject* value) const;
    [[nodiscard]] bool are_distinct(const GuardStep& step) const;
    [[nodiscard]] PyObject* call_with_inputs(PyObject* callee, const GuardStep& step) const;
    [[nodiscard]] PyObject* call_with_locals(PyObject* callee) const;

    const BoundFrame& frame_;
    std::size_t known_;  // values below this number are not ours
    std::vector<PyObject*> values_;
};

// The key or value at a position of a dict's order, borrowed; null when there is none.
[[nodiscard]] PyObject* dict_entry(PyObject* dict, Py_ssize_t index, bool value);

}  // namespace coldframe::python
