// Passes a failure on to the caller, in functions that return a Result.
//
//   Result<Package> load(const std::string& path) {
//       COLDFRAME_TRY(check(path));                                  // a Status
//       COLDFRAME_TRY_ASSIGN(const Reader reader, open(path));       // a Result<Reader>
//       return reader.package();
//   }
//
// Thread-safety: values. Failure: the error is returned as it is.
#pragma once

#include <expected>
#include <utility>

#define COLDFRAME_TRY(...)                                               \
    do {                                                                 \
        if (auto coldframe_status = (__VA_ARGS__); !coldframe_status) {  \
            return std::unexpected(std::move(coldframe_status.error())); \
        }                                                                \
    } while (false)

#define COLDFRAME_TRY_ASSIGN(declaration, ...) COLDFRAME_TRY_ASSIGN_AT(__LINE__, declaration, __VA_ARGS__)
#define COLDFRAME_TRY_ASSIGN_AT(line, ...) COLDFRAME_TRY_ASSIGN_IN(line, __VA_ARGS__)
#define COLDFRAME_TRY_ASSIGN_IN(line, declaration, ...)                                               \
    auto coldframe_result_##line = (__VA_ARGS__);                                                     \
    if (!coldframe_result_##line) return std::unexpected(std::move(coldframe_result_##line.error())); \
    declaration = *std::move(coldframe_result_##line)
