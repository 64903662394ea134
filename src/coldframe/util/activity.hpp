// Whether this process gets on with anything: it, or a process that it started, has used the processor lately.
//
//   Activity activity(30s);
//   for (;; sleep(1s)) if (activity.is_idle()) ...      // for 30 seconds, less than a hundredth of one core
//
// What counts is this process without the thread that asks, and all its descendants, also those that have ended. A process that
// computes on another machine, or waits for one, is idle.
//
// Thread-safety: one object serves one thread, and only in the process that made it. Failure: where the kernel does not tell
// which descendants there are, nothing is ever idle.
#pragma once

#include <chrono>
#include <deque>
#include <optional>

namespace coldframe {

// Processor time of this process without the calling thread, and of its descendants. Nothing where the kernel does not tell.
[[nodiscard]] std::optional<std::chrono::nanoseconds> processor_time();

class Activity {
   public:
    explicit Activity(std::chrono::milliseconds idle) : idle_(idle) {}
    // To be asked again and again: what has happened is known from when it was asked before. Costs about a millisecond, not
    // more than sixteen times in the span that counts.
    [[nodiscard]] bool is_idle();

   private:
    struct Sample {
        std::chrono::steady_clock::time_point when;
        std::chrono::nanoseconds used;
    };

    const std::chrono::milliseconds idle_;
    std::deque<Sample> samples_;  // the first is at least so old, the others are younger
    bool is_idle_ = false;
};

}  // namespace coldframe
