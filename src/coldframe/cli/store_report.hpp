// What `coldframe stats`, `ls`, `gc`, `fsck`, `push` and `pull` print.
//
// JSON keys are only ever added.
//
//   print_statistics("/home/u/.cache/coldframe", statistics, std::cout);
//
// Thread-safety: free functions on values. Failure: none; a failed stream is the caller's to notice.
#pragma once

#include <coldframe/cli/exit_code.hpp>
#include <coldframe/store/store.hpp>

#include <iosfwd>
#include <string>

namespace coldframe::cli {

// What went to a remote, or came from it.
struct TransferReport {
    std::string verb = {};
    std::string remote = {};
    std::uint64_t variants = 0;
    std::uint64_t absent = 0;  // keys for which the remote has nothing
    std::uint64_t failed = 0;
    std::uint64_t bytes = 0;
    ExitCode code = ExitCode::ok;
};

void print_statistics(const std::string& directory, const store::Statistics& statistics, std::ostream& out);
void print_statistics_json(const std::string& directory, const store::Statistics& statistics, std::ostream& out);
void print_items(const std::vector<store::Item>& items, std::ostream& out);
void print_items_json(const std::vector<store::Item>& items, std::ostream& out);
void print_misses(const std::vector<store::MissNote>& misses, std::ostream& out);
void print_misses_json(const std::vector<store::MissNote>& misses, std::ostream& out);
void print_collected(const store::CollectReport& report, bool dry_run, std::ostream& out);
void print_transfer(const TransferReport& report, std::ostream& out);
void print_transfer_json(const TransferReport& report, std::ostream& out);
void print_checked(const store::CheckReport& report, std::ostream& out);

}  // namespace coldframe::cli
