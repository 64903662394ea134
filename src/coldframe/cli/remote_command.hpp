// What `coldframe push` and `coldframe pull` do.
//
//   Result<ExitCode> code = push(options, std::cout, std::cerr);
//
// A key or variant that fails does not keep the rest from being tried: it is told on `err`, and the exit code is that of the
// first failure.
//
// Thread-safety: reentrant. Failure: what opening the store and the remote gives, and finding a KEY.
#pragma once

#include <coldframe/cli/exit_code.hpp>
#include <coldframe/cli/store_options.hpp>

#include <iosfwd>

namespace coldframe::cli {

[[nodiscard]] Result<ExitCode> push(const PushOptions& options, std::ostream& out, std::ostream& err);
[[nodiscard]] Result<ExitCode> pull(const PullOptions& options, std::ostream& out, std::ostream& err);

}  // namespace coldframe::cli
