// A guard program after it held once: the words that prove most of it, and the steps that must be evaluated all the same.
//
//   GuardReduction reduction(steps, function, frame, varying);  // varying: numbers of locals that are another object at each
//                                                              // call; function: what is called when it holds, or null
//   if (reduction.applies(frame)) {
//       GuardPins pins(reduction);                             // lives as long as what is called
//       reduction.check(frame)                                 // the whole program's verdict
//       reduction.callee()                                     // in place of the function; null: nothing is bound
//   }
//
// Thread-safety: needs the GIL; `check` may run Python code. Failure: none; what cannot be proven is evaluated.
#pragma once

#include <python/bound_call.hpp>
#include <python/graph_call.hpp>
#include <python/guard_values.hpp>
#include <python/guard_words.hpp>

#include <unordered_set>

namespace coldframe::python {

using LocalNumbers = std::unordered_set<std::size_t>;

class GuardReduction {
   public:
    GuardReduction(const std::vector<GuardStep>& steps, PyObject* function, const BoundFrame& frame,
                   const LocalNumbers& varying);

    // The steps held a moment ago, and nothing has changed since.
    [[nodiscard]] bool is_valid() { return valid_ && words_.hold(); }
    [[nodiscard]] bool applies(const BoundFrame& frame);
    // The position of the step that refuses, or -1. Only when it applies, and pins are held.
    [[nodiscard]] std::ptrdiff_t check(const BoundFrame& frame) const;
    [[nodiscard]] const Ref& callee() const { return callee_; }
    // Adds the locals that are not what they were.
    void find_varying(const BoundFrame& frame, LocalNumbers& varying) const;
    [[nodiscard]] int traverse(visitproc visit, void* argument) const;

    [[nodiscard]] std::size_t words() const { return words_.size(); }
    // The positions of the steps that `check` evaluates: a list of int.
    [[nodiscard]] Ref kept_steps() const;

   private:
    friend class GuardPins;
    struct Root {
        std::size_t local;
        PyObject* value;
    };
    class Builder;

    std::vector<Root> roots_;
    PyObject* globals_;
    GuardWords words_;
    std::vector<PyObject*> known_;  // proven values that are read at each call: borrowed, there as long as the words hold
    std::vector<GuardStep> rest_;
    std::size_t count_ = 0;  // values of the rest
    Ref bound_;              // the graph with what is proven of its arguments
    Ref callee_;             // the function with a call of that
    bool valid_ = true;
};

// Keeps what the words have proven, whatever the steps that are evaluated then and other threads do.
class GuardPins {
   public:
    GuardPins() = default;
    explicit GuardPins(const GuardReduction& reduction) : held_(reduction.known_), use_(reduction.bound_) {
        for (PyObject* value : held_) Py_INCREF(value);
    }
    GuardPins(const GuardPins&) = delete;
    GuardPins& operator=(GuardPins&& other) noexcept {
        held_.swap(other.held_);
        use_ = std::move(other.use_);
        return *this;
    }
    ~GuardPins() {
        for (PyObject* value : held_) Py_DECREF(value);
    }

   private:
    std::vector<PyObject*> held_;
    BoundCallUse use_;
};

}  // namespace coldframe::python
