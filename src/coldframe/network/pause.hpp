// The pause before another attempt: random, so that many processes do not come back at once.
//
//   pause_before_retry(limits);                        // between a half and all of limits.pause, not past the end
//
// Thread-safety: free function. Failure: none.
#pragma once

#include <coldframe/remote/limits.hpp>

#include <random>
#include <thread>

namespace coldframe::remote {

inline void pause_before_retry(const Limits& limits) {
    if (limits.pause.count() <= 0) return;
    std::minstd_rand random(std::random_device{}());
    std::uniform_int_distribution<milliseconds::rep> distribution((limits.pause.count() + 1) / 2, limits.pause.count());
    const SteadyTime until = std::chrono::steady_clock::now() + milliseconds(distribution(random));
    while (!limits.hurried() && std::chrono::steady_clock::now() < std::min(until, limits.latest())) {
        std::this_thread::sleep_for(std::min(limits.pause, milliseconds(20)));
    }
}

}  // namespace coldframe::remote
