// What `coldframe stats`, `ls`, `gc` and `fsck` print.
//
// JSON keys are only ever added.
//
//   print_statistics("/home/u/.cache/coldframe", statistics, std::cout);
//
// Thread-safety: free functions on values. Failure: none; a failed stream is the caller's to notice.
#pragma once

#include <coldframe/store/store.hpp>

#include <iosfwd>
#include <string>

namespace coldframe::cli {

void print_statistics(const std::string& directory, const store::Statistics& statistics, std::ostream& out);
void print_statistics_json(const std::string& directory, const store::Statistics& statistics, std::ostream& out);
void print_items(const std::vector<store::Item>& items, std::ostream& out);
void print_items_json(const std::vector<store::Item>& items, std::ostream& out);
void print_collected(const store::CollectReport& report, bool dry_run, std::ostream& out);
void print_checked(const store::CheckReport& report, std::ostream& out);

}  // namespace coldframe::cli
