// What the subcommands that work on a store do.
//
//   Result<ExitCode> code = run_store_command(command, std::cout, std::cerr);
//
// Thread-safety: reentrant. Failure: what the store gives; invalid_argument for a KEY that names several things or none.
#pragma once

#include <coldframe/cli/exit_code.hpp>
#include <coldframe/cli/store_options.hpp>

#include <iosfwd>
#include <string>

namespace coldframe::cli {

[[nodiscard]] Result<ExitCode> run_store_command(const StoreCommand& command, std::ostream& out, std::ostream& err);
// For messages: the directory that the command is about.
[[nodiscard]] std::string store_directory(const StoreCommand& command);

}  // namespace coldframe::cli
