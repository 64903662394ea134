// What a process has seen of a store, in numbers: the oracle of tests, and what `coldframe stats` prints.
//
//   Counters counters;
//   counters.add(Counter::hits);
//   CounterValues delta = counters.take();                 // since the last take
//   std::string text = encode_counters(delta);             // "coldframe counters 1\nhits 1\n..."
//   std::optional<CounterValues> back = decode_counters(text);
//
// Thread-safety: Counters may be used from many threads and take no lock, which a forked child could find taken; it starts from
// zero. Failure: decoding yields nothing for
// what is not such a text; names that this version does not know are ignored.
#pragma once

#include <coldframe/util/error.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coldframe::store {

enum class Counter : std::uint8_t {
    hits,    // lookups that found a variant
    misses,  // that found none
    refused_corrupt,
    refused_untrusted,
    refused_unsupported,
    refused_incomplete,  // an object was gone
    refused_io,
    puts,
    put_failures,
    bytes_read,
    bytes_written,
    quarantined,
    evicted,
    milliseconds_saved,    // of compiling, as the variants found say it
    compiled_absent,       // compilations, by reason: there was no package for such a call
    compiled_guard,        // a guard refused it, of all variants that there were
    compiled_environment,  // packages were made with other versions, processors or settings
    compiled_source,       // of other source code
    compiled_damaged,      // what there was could not be used
    remote_hits,           // local misses that the remote tier served
    remote_misses,         // for which it had nothing
    remote_skipped,        // in which it was not asked, for it did not work
    remote_timeouts,
    remote_failures,    // connections that broke, and statuses
    remote_refused,     // credentials, redirects
    remote_corrupt,     // bytes that were not what was asked for
    remote_incomplete,  // something was gone
    remote_bytes_read,
    remote_bytes_written,
    remote_uploads,
    remote_upload_failures,
    remote_uploads_dropped,  // too many were waiting, or the process ended
    remote_leases,           // flights led for all hosts
    remote_arrivals,         // flights that another host led, and that ended with what it compiled
};
inline constexpr std::size_t k_counter_count = 34;
[[nodiscard]] std::string_view name_of(Counter counter);
[[nodiscard]] std::optional<Counter> counter_named(std::string_view name);
// Of a variant that was there and could not be used.
[[nodiscard]] Counter refusal_counter(ErrorCode code);

class CounterValues {
   public:
    [[nodiscard]] std::uint64_t operator[](Counter counter) const { return values_[static_cast<std::size_t>(counter)]; }
    [[nodiscard]] std::uint64_t& operator[](Counter counter) { return values_[static_cast<std::size_t>(counter)]; }
    CounterValues& operator+=(const CounterValues& other);
    [[nodiscard]] bool empty() const { return values_ == std::array<std::uint64_t, k_counter_count>{}; }

   private:
    std::array<std::uint64_t, k_counter_count> values_{};
};

class Counters {
   public:
    void add(Counter counter, std::uint64_t count = 1);
    [[nodiscard]] CounterValues values();  // that nobody has taken
    [[nodiscard]] CounterValues take();
    void give_back(const CounterValues& values);

   private:
    void forget_parent();

    std::array<std::atomic<std::uint64_t>, k_counter_count> values_{};
    std::atomic<int> process_ = 0;
};

[[nodiscard]] std::string encode_counters(const CounterValues& values);
[[nodiscard]] std::optional<CounterValues> decode_counters(std::string_view text);

}  // namespace coldframe::store
