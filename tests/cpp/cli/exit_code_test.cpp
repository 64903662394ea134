#include <coldframe/cli/exit_code.hpp>

#include <doctest/doctest.h>

#include <array>
#include <utility>

using coldframe::ErrorCode;
using coldframe::cli::ExitCode;

TEST_CASE("every error code has its exit code") {
    constexpr std::array k_expected{
        std::pair{ErrorCode::incompatible, 2}, std::pair{ErrorCode::corrupt, 3},          std::pair{ErrorCode::untrusted, 4},
        std::pair{ErrorCode::unsupported, 5},  std::pair{ErrorCode::not_found, 6},        std::pair{ErrorCode::not_portable, 2},
        std::pair{ErrorCode::io, 7},           std::pair{ErrorCode::timeout, 7},          std::pair{ErrorCode::no_space, 7},
        std::pair{ErrorCode::internal, 70},    std::pair{ErrorCode::invalid_argument, 1},
    };
    for (const auto& [error, exit] : k_expected) {
        CAPTURE(to_string(error));
        CHECK(static_cast<int>(coldframe::cli::exit_code(error)) == exit);
    }
}

TEST_CASE("every exit code but success says what to do, and --help lists it") {
    const std::string help = coldframe::cli::exit_code_help();
    for (const auto& info : coldframe::cli::exit_codes()) {
        CAPTURE(info.meaning);
        CHECK(advice(info.code).empty() == (info.code == ExitCode::ok));
        CHECK(help.find(" " + std::to_string(static_cast<int>(info.code)) + "  " + std::string(info.meaning)) !=
              std::string::npos);
    }
}
