// The `coldframe` command without its process: arguments and streams in, exit code out.
//
//   int status = run(argc, argv, std::cout, std::cerr);
//
// Thread-safety: reentrant. Failure: an exit code of exit_code.hpp, and on `err` what is wrong, where, and what to do.
#pragma once

#include <iosfwd>

namespace coldframe::cli {

[[nodiscard]] int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace coldframe::cli
