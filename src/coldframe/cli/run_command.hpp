// `coldframe run`: a program in the place of this process, told by its environment to serve torch.compile from a store.
//
//   Error error = run_program(options);       // comes back only when it cannot be started
//
// Thread-safety: changes the environment of the process. Failure: invalid_argument without a program or a Python
// that has coldframe, not_found and io for an interpreter that cannot be started.
#pragma once

#include <coldframe/cli/options.hpp>
#include <coldframe/util/error.hpp>

namespace coldframe::cli {

[[nodiscard]] Error run_program(const RunOptions& options);

}  // namespace coldframe::cli
