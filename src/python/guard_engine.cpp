#include <python/guard_engine.hpp>

#include <algorithm>

namespace coldframe::python {
namespace {

constexpr std::uint32_t k_worth = 16;  // checks that pay for a reduction
constexpr std::uint32_t k_most_patience = 1024;

class Busy {
   public:
    explicit Busy(int& count) : count_(count), outermost_(count++ == 0) {}
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() { --count_; }
    [[nodiscard]] bool outermost() const { return outermost_; }

   private:
    int& count_;
    bool outermost_;
};

}  // namespace

// Steps, and what dies with a reduction, may run code of the program, and so this again, on this thread or on another: only the
// outermost check uses and replaces the reduction.
GuardVerdict GuardEngine::check(const BoundFrame& frame, GuardPins& pins) {
    std::unique_ptr<GuardReduction> old;  // dies when everything is settled
    const Busy busy(busy_);
    GuardVerdict verdict{GuardVerdict::k_holds, function_};
    if (busy.outermost() && reduction_ && reduction_->applies(frame)) {
        pins = GuardPins(*reduction_);
        verdict.refused = reduction_->check(frame);
        ++served_;
        if (reduction_->callee()) verdict.callee = reduction_->callee();
    } else {
        verdict.refused = check_all(frame);
        if (verdict.refused == GuardVerdict::k_holds && busy.outermost()) old = reduce(frame);
    }
    if (verdict.refused != GuardVerdict::k_holds) PyErr_Clear();
    return verdict;
}

std::ptrdiff_t GuardEngine::check_all(const BoundFrame& frame) const {
    std::size_t count = 0;
    for (const GuardStep& step : steps_) count = std::max<std::size_t>(count, step.result);
    GuardValues values(frame, {}, count);
    for (const GuardStep& step : steps_) {
        if (!values.passes(step)) return step.position;
    }
    return GuardVerdict::k_holds;
}

// After the program held. A process that calls once should not pay: the second time is the first that counts, and shows which
// locals are other objects at each call.
std::unique_ptr<GuardReduction> GuardEngine::reduce(const BoundFrame& frame) {
    if (before_.empty()) {
        before_.assign(frame.locals.begin(), frame.locals.end());
        before_.push_back(nullptr);
        return nullptr;
    }
    for (std::size_t i = 0; i < frame.locals.size(); ++i) {
        if (!reduction_ && frame.locals[i] != before_[i]) varying_.insert(i);
    }
    std::unique_ptr<GuardReduction> old = std::move(reduction_);
    if (old) {
        const std::size_t known = varying_.size();
        old->find_varying(frame, varying_);
        const bool learned = varying_.size() != known;  // it will not be lost to the same again
        patience_ = learned || served_ >= k_worth ? 0 : std::min(2 * patience_ + 1, k_most_patience);
        waited_ = 0;
    }
    if (waited_++ < patience_) return old;
    try {
        auto made = std::make_unique<GuardReduction>(steps_, function_.get(), frame, varying_);
        if (!made->is_valid()) return old;
        served_ = 0;
        reduction_ = std::move(made);
    } catch (const PythonError&) {  // out of memory: then not
        PyErr_Clear();
    }
    return old;
}

Ref GuardEngine::describe_reduction() const {
    if (!reduction_) return Ref::borrow(Py_None);
    const Ref steps = reduction_->kept_steps();
    return owned(Py_BuildValue("(nOO)", static_cast<Py_ssize_t>(reduction_->words()), steps.get(),
                               reduction_->callee() ? Py_True : Py_False));
}

int GuardEngine::traverse(visitproc visit, void* arg) const {
    for (const GuardStep& step : steps_) Py_VISIT(step.operand.get());
    Py_VISIT(function_.get());
    return reduction_ ? reduction_->traverse(visit, arg) : 0;
}

}  // namespace coldframe::python
