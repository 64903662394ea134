#include <coldframe/remote/breaker.hpp>

namespace coldframe::remote {

bool Breaker::closed() const {
    const std::lock_guard lock(mutex_);
    return !open_;
}

void Breaker::forgive(SteadyTime now) {
    const double share =
        options_.open_for.count() == 0 ? 1 : std::chrono::duration<double>(now - forgiven_) / options_.open_for;
    const auto forgiven = std::chrono::duration_cast<SteadyTime::duration>(options_.waste * std::clamp(share, 0.0, 1.0));
    waste_ -= std::min(waste_, forgiven);
    forgiven_ = now;
}

milliseconds Breaker::patience(milliseconds usual, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    forgive(now);
    const auto left = std::chrono::floor<milliseconds>(options_.waste - waste_);
    return std::clamp(left, milliseconds(1), usual);
}

void Breaker::open(SteadyTime now) {
    if (options_.open_for.count() == 0) return;
    open_ = true;
    probing_ = false;
    until_ = now + options_.open_for;
}

void Breaker::add_waste(SteadyTime::duration time, SteadyTime now) {
    forgive(now);
    waste_ += time;
    if (waste_ >= options_.waste - milliseconds(20)) open(now);  // what is left would not do for an answer
}

void Breaker::succeeded() {
    const std::lock_guard lock(mutex_);
    // What runs on while it is open, say an upload, does not close it: only a probe does.
    if (open_ && !probing_) return;
    if (open_) waste_ = {};
    open_ = false;
    probing_ = false;
    failures_ = 0;
}

void Breaker::failed(SteadyTime::duration wasted, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    if (open_) {
        if (probing_) open(now);
        return;
    }
    ++failures_;
    add_waste(wasted, now);
    if (failures_ >= options_.failures) open(now);
}

void Breaker::wasted(SteadyTime::duration time, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    if (!open_) add_waste(time, now);
}

bool Breaker::wants_probe(SteadyTime now) {
    const std::lock_guard lock(mutex_);
    if (!open_ || probing_ || now < until_) return false;
    probing_ = true;
    return true;
}

void Breaker::hasten_probe(SteadyTime now) {
    const std::lock_guard lock(mutex_);
    until_ = std::min(until_, now);
}

SteadyTime Breaker::probe_time() const {
    const std::lock_guard lock(mutex_);
    return open_ ? until_ : SteadyTime::max();
}

}  // namespace coldframe::remote
