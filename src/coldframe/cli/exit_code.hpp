// The exit codes of the `coldframe` command: what went wrong, in one number that scripts can act on.
//
//   ok 0, usage 1, incompatible 2, corrupt 3, untrusted 4, unsupported 5, not_found 6, io 7, internal 70
//
//   return static_cast<int>(exit_code(error.code));
//
// Thread-safety: constant tables. Failure: none.
#pragma once

#include <coldframe/util/error.hpp>

#include <span>
#include <string>
#include <string_view>

namespace coldframe::cli {

enum class ExitCode : int {
    ok = 0,
    usage = 1,
    incompatible = 2,
    corrupt = 3,
    untrusted = 4,
    unsupported = 5,
    not_found = 6,
    io = 7,
    internal = 70,
};

struct ExitCodeInfo {
    ExitCode code;
    std::string_view meaning;  // for --help
    std::string_view advice;   // what to do, for error messages
};

[[nodiscard]] std::span<const ExitCodeInfo> exit_codes();
[[nodiscard]] ExitCode exit_code(ErrorCode code);
[[nodiscard]] std::string_view advice(ExitCode code);
[[nodiscard]] std::string exit_code_help();

}  // namespace coldframe::cli
