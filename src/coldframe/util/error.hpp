// What a failed operation says, and what the caller should do about it.
//
// Every function that can fail across a layer returns Result<T>. The code is an instruction, not a diagnosis:
//
//   incompatible      a miss; keep the file          invalid_argument  the caller's mistake
//   corrupt           quarantine, then a miss        not_portable      cannot be saved; run as plain torch.compile
//   untrusted         refuse and warn once           unsupported       made by a newer coldframe; keep the file
//   not_found         a miss                         io, no_space, timeout  the environment's; try again or elsewhere
//   internal          a defect of coldframe
//
//   Result<Package> package = archive::open(path);
//   if (!package) return std::unexpected(std::move(package.error()).with("while loading " + path));
//
// Thread-safety: values. Failure: none.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace coldframe {

enum class ErrorCode : std::uint8_t {
    incompatible,
    corrupt,
    untrusted,
    unsupported,
    not_found,
    not_portable,
    io,
    timeout,
    no_space,
    invalid_argument,
    internal,
};

[[nodiscard]] std::string_view to_string(ErrorCode code);

struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string message;  // what is wrong and, where it is known, what to do
    std::string context;  // where: the path, the frame, the field; outermost last

    // Adds where it happened, keeping what is already known.
    [[nodiscard]] Error with(std::string_view where) &&;
    [[nodiscard]] std::string what() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// For tidying up and the like, where a failure changes nothing for the caller.
template <typename T>
void ignore_failure(const Result<T>&) {}

[[nodiscard]] std::unexpected<Error> fail(ErrorCode code, std::string message);

}  // namespace coldframe
