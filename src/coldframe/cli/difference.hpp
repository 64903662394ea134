// What `coldframe diff` prints: in what two packages differ, a line for each field, variant, artifact and source.
//
//   print_difference(first, second, std::cout);      // "environment.torch_version: '2.13.0' | '2.13.1'", "- ...", "+ ..."
//
// Thread-safety: a free function on values. Failure: none; a failed stream is the caller's to notice.
#pragma once

#include <coldframe/model/package.hpp>

#include <iosfwd>

namespace coldframe::cli {

void print_difference(const Package& first, const Package& second, std::ostream& out);

}  // namespace coldframe::cli
