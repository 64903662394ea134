// A graph with some of its arguments, to be called with the others.
//
//   Ref bound = make_bound_call(graph, {weight, nullptr, bias});        // null: comes with the call
//   BoundCallUse use(bound.get());                                      // only as long as one lives may it be called
//
// It holds no references: whoever uses it has proven and pinned what it is made of. Thread-safety: the GIL.
#pragma once

#include <python/bridge.hpp>

#include <vector>

namespace coldframe::python {

[[nodiscard]] Ref make_bound_call(PyObject* graph, std::vector<PyObject*> arguments);

class BoundCallUse {
   public:
    BoundCallUse() = default;
    explicit BoundCallUse(Ref call);
    BoundCallUse(BoundCallUse&& other) noexcept = default;
    BoundCallUse& operator=(BoundCallUse&& other) noexcept {
        std::swap(call_, other.call_);
        return *this;
    }
    ~BoundCallUse();

   private:
    Ref call_;
};

}  // namespace coldframe::python
