// Whether a remote is worth asking, and how much waiting for it may still cost.
//
// It opens after three failures in a row, or as soon as failed lookups have cost 330 ms together, and stays open for a minute;
// lookups then do without the remote. Only a probe in the background, which nobody waits for, closes it again. What was wasted
// is forgiven at the rate of 330 ms a minute, so a remote that works now and then cannot add up to more either.
//
//   Breaker breaker({});
//   if (!breaker.closed()) ...                                   // a miss without asking
//   limits.patience = breaker.patience(250ms, now);
//   breaker.failed(200ms, now);                                  // or breaker.succeeded()
//   if (breaker.wants_probe(now)) ...                            // true once after the minute; then succeeded() or failed()
//
// Thread-safety: all functions may be called from many threads. Failure: none.
#pragma once

#include <coldframe/remote/limits.hpp>

#include <mutex>

namespace coldframe::remote {

struct BreakerOptions {
    int failures = 3;
    milliseconds waste{330};
    milliseconds open_for{60'000};  // 0: it never opens
};

class Breaker {
   public:
    explicit Breaker(const BreakerOptions& options) : options_(options) {}

    [[nodiscard]] bool closed() const;
    // What is left of `usual`.
    [[nodiscard]] milliseconds patience(milliseconds usual, SteadyTime now);
    void succeeded();  // an answer came: also that there is nothing
    void failed(SteadyTime::duration wasted, SteadyTime now);
    // A sound answer with wrong bytes: time was lost, but the remote is there.
    void wasted(SteadyTime::duration time, SteadyTime now);

    [[nodiscard]] bool wants_probe(SteadyTime now);
    void hasten_probe(SteadyTime now);            // somebody waits for it
    [[nodiscard]] SteadyTime probe_time() const;  // when a probe may be wanted; the end of time while closed

   private:
    void forgive(SteadyTime now);
    void add_waste(SteadyTime::duration time, SteadyTime now);
    void open(SteadyTime now);

    const BreakerOptions options_;
    mutable std::mutex mutex_;
    bool open_ = false;
    bool probing_ = false;
    SteadyTime until_{};
    int failures_ = 0;
    SteadyTime::duration waste_{};
    SteadyTime forgiven_{};
};

}  // namespace coldframe::remote
