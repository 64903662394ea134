// The command line, parsed.
//
//   Parsed parsed = parse_options(argc, argv);
//   if (auto* inspect = std::get_if<InspectOptions>(&parsed)) ...
//
// Thread-safety: values. Failure: a wrong command line is an `Answer` with exit code usage.
#pragma once

#include <coldframe/cli/exit_code.hpp>
#include <coldframe/cli/store_options.hpp>

#include <string>
#include <variant>
#include <vector>

namespace coldframe::cli {

struct InspectOptions {
    std::string file;
    bool json = false;
    bool guards = false;
    bool code = false;
    bool any_owner = false;
};

struct VerifyOptions {
    std::string file;
    bool any_owner = false;
};

struct MergeOptions {
    std::string output;
    std::vector<std::string> files;
    bool any_owner = false;
};

struct DiffOptions {
    std::string first;
    std::string second;
    bool any_owner = false;
};

// A program of Python, by the arguments that python itself would get.
struct RunOptions : StorePlace {
    std::string remote;
    std::optional<std::uint64_t> max_bytes;
    bool read_only = false;
    bool no_single_flight = false;
    std::string on_miss;  // empty: as the environment says
    std::string python;   // empty: see find_interpreter
    std::vector<std::string> arguments;
};

// --help, --version or a usage error: nothing is left to do but to say this.
struct Answer {
    ExitCode code = ExitCode::ok;
    std::string out;
    std::string err;
};

using Parsed = std::variant<InspectOptions, VerifyOptions, MergeOptions, DiffOptions, RunOptions, StoreCommand, Answer>;

[[nodiscard]] Parsed parse_options(int argc, const char* const* argv);

}  // namespace coldframe::cli
