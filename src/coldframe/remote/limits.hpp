// How long a call to a remote may take.
//
// A call may be silent for as long as its patience. Bytes that arrive faster than the slowest rate that is put up with restore
// it, never above what it was, so neither a stall nor a drip outlasts it, wherever in a transfer they begin.
//
//   Watch watch(limits, now);                          // patience 300 ms, 1 MB/s
//   watch.moved(1'000'000, now);                       // a megabyte more is worth a second, of which 300 ms count
//   if (watch.expired(now)) ...                        // nothing came for 300 ms, or a drip of bytes
//
// Thread-safety: Limits are values; a Watch serves one thread. Failure: none.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace coldframe::remote {

using SteadyTime = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

struct Limits {
    milliseconds connect{250};
    milliseconds patience{300};
    std::uint64_t slowest = 1'000'000;   // bytes a second
    SteadyTime end = SteadyTime::max();  // whatever comes
    int attempts = 2;                    // of a call that failed for another reason than time
    milliseconds pause{20};              // before another attempt, at most; a random part of it
    const std::atomic<SteadyTime>* stop = nullptr;  // may bring the end forward while a call runs

    [[nodiscard]] SteadyTime latest() const { return stop == nullptr ? end : std::min(end, stop->load()); }
};

class Watch {
   public:
    Watch(const Limits& limits, SteadyTime now) : limits_(limits), deadline_(now + limits.patience) {}

    void moved(std::uint64_t bytes, SteadyTime now) {
        const double seconds = static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(limits_.slowest, 1));
        const auto worth = std::chrono::duration_cast<SteadyTime::duration>(
            std::min(std::chrono::duration<double>(seconds), std::chrono::duration<double>(limits_.patience)));
        deadline_ = std::min(deadline_ + worth, now + limits_.patience);
    }
    [[nodiscard]] SteadyTime deadline() const { return std::min(deadline_, limits_.latest()); }
    [[nodiscard]] bool expired(SteadyTime now) const { return now >= deadline(); }
    // To wait before looking again; at least 1 ms, at most `longest`: the end may have been brought forward meanwhile.
    [[nodiscard]] int wait(SteadyTime now, milliseconds longest = milliseconds(50)) const {
        const auto left = std::chrono::ceil<milliseconds>(deadline() - now);
        return static_cast<int>(std::clamp(left, milliseconds(1), longest).count());
    }

   private:
    Limits limits_;
    SteadyTime deadline_;
};

}  // namespace coldframe::remote
