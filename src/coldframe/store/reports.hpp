// What processes report about a store, each in files of its own, and how full they say it is.
//
// A report is a file that is written once and says what has happened since the one before it, so none is ever counted twice:
// merging takes a report away by renaming it, which only one process can.
//
//   write_report(tree, counters.take());
//   Result<CounterValues> sum = merge_reports(tree);           // of all processes; leaves one report
//   Result<std::uint64_t> bytes = estimate_bytes(tree);        // what the last count found and was written since
//   write_miss(tree, {.function = "net.forward", .reasons = {"..."}});
//
// Thread-safety: free functions; safe among processes. Failure: io, no_space, untrusted. A crash may lose a report, never more.
#pragma once

#include <coldframe/store/counters.hpp>
#include <coldframe/store/layout.hpp>
#include <coldframe/store/store.hpp>

namespace coldframe::store {

[[nodiscard]] Status write_report(const Tree& tree, const CounterValues& values);
// Changes nothing.
[[nodiscard]] Result<CounterValues> sum_reports(const Tree& tree);
[[nodiscard]] Result<CounterValues> merge_reports(const Tree& tree);

[[nodiscard]] Result<std::uint64_t> estimate_bytes(const Tree& tree);
// `bytes`: what a walk has found; `sum`: what the reports said then.
[[nodiscard]] Status write_usage(const Tree& tree, std::uint64_t bytes, const CounterValues& sum);

[[nodiscard]] Status write_miss(const Tree& tree, const MissNote& miss);
[[nodiscard]] Result<std::vector<MissNote>> read_misses(const Tree& tree);  // the last first

}  // namespace coldframe::store
