// How long a call to a remote may take.
//
// A call may be silent for as long as its patience. Bytes that arrive faster than the slowest rate that is put up with restore
// it, never above what it was, so neither a stall nor a drip outlasts it, wherever in a transfer they begin.
//
//   Watch watch(limits, now);                          // patience 250 ms, 1 MB/s
//   watch.moved(1'000'000, now);                       // a megabyte more is worth a second, of which 250 ms count
//   if (watch.expired(now)) ...                        // nothing came for 250 ms, or a drip of bytes
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

// Told to calls that are under way: somebody waits for them now.
struct Hurry {
    std::atomic<SteadyTime> begin{SteadyTime::max()};  // when it was told
    std::atomic<SteadyTime> end{SteadyTime::max()};
    std::atomic<milliseconds> patience{milliseconds::max()};

    // The rest first: whoever sees `begin` sees it, too.
    void start(milliseconds new_patience, SteadyTime new_end, SteadyTime now) {
        patience = new_patience;
        end = new_end;
        begin = now;
    }
    [[nodiscard]] bool started() const { return begin.load() != SteadyTime::max(); }
};

struct Limits {
    milliseconds connect{250};
    milliseconds patience{250};
    std::uint64_t slowest = 1'000'000;   // bytes a second
    SteadyTime end = SteadyTime::max();  // whatever comes
    int attempts = 2;                    // of a call that failed for another reason than time
    milliseconds pause{20};              // before another attempt, at most; a random part of it
    const Hurry* hurry = nullptr;        // may come while a call runs; then nothing is attempted once more

    [[nodiscard]] bool hurried() const { return hurry != nullptr && hurry->started(); }
    [[nodiscard]] SteadyTime latest() const { return hurried() ? std::min(end, hurry->end.load()) : end; }
    [[nodiscard]] milliseconds patience_now() const {
        return hurried() ? std::min(patience, hurry->patience.load()) : patience;
    }
};

class Watch {
   public:
    Watch(const Limits& limits, SteadyTime now) : limits_(limits), last_(now), deadline_(now + limits.patience_now()) {}

    void moved(std::uint64_t bytes, SteadyTime now) {
        const milliseconds patience = limits_.patience_now();
        const double seconds = static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(limits_.slowest, 1));
        const auto worth = std::chrono::duration_cast<SteadyTime::duration>(
            std::min(std::chrono::duration<double>(seconds), std::chrono::duration<double>(patience)));
        deadline_ = std::min(deadline_ + worth, now + patience);
        last_ = now;
    }
    [[nodiscard]] SteadyTime deadline() const {
        const SteadyTime deadline = std::min(deadline_, limits_.latest());
        if (!limits_.hurried()) return deadline;
        return std::min(deadline, std::max(last_, limits_.hurry->begin.load()) + limits_.patience_now());
    }
    [[nodiscard]] bool expired(SteadyTime now) const { return now >= deadline(); }
    // To wait before looking again; at least 1 ms, at most `longest`: a hurry may come meanwhile.
    [[nodiscard]] int wait(SteadyTime now, milliseconds longest = milliseconds(20)) const {
        const auto left = std::chrono::ceil<milliseconds>(deadline() - now);
        return static_cast<int>(std::clamp(left, milliseconds(1), longest).count());
    }

   private:
    Limits limits_;
    SteadyTime last_;
    SteadyTime deadline_;
};

}  // namespace coldframe::remote
