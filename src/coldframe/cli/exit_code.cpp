#include <coldframe/cli/exit_code.hpp>

#include <array>

namespace coldframe::cli {
namespace {

constexpr std::array k_exit_codes{
    ExitCodeInfo{ExitCode::ok, "success", ""},
    ExitCodeInfo{ExitCode::usage, "wrong usage", "see coldframe --help"},
    ExitCodeInfo{ExitCode::incompatible, "sound, but made for something else",
                 "keep the file; make another package for this environment"},
    ExitCodeInfo{ExitCode::corrupt, "not a package, or damaged",
                 "do not use the file; copy it again from where it came, or compile and save again"},
    ExitCodeInfo{ExitCode::untrusted, "owner, mode or signature do not allow using it",
                 "check where the file came from, its owner and its mode"},
    ExitCodeInfo{ExitCode::unsupported, "made by a newer coldframe",
                 "use a newer coldframe, or save the package again with this one"},
    ExitCodeInfo{ExitCode::not_found, "no such file", "check the path"},
    ExitCodeInfo{ExitCode::io, "the file system refused, or has no space left",
                 "check permissions and free space, then try again"},
    ExitCodeInfo{ExitCode::internal, "a defect of coldframe", "please report this, with the command and the file if you can"},
};

}  // namespace

std::span<const ExitCodeInfo> exit_codes() { return k_exit_codes; }

ExitCode exit_code(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument: return ExitCode::usage;
        case ErrorCode::incompatible:
        case ErrorCode::not_portable: return ExitCode::incompatible;
        case ErrorCode::corrupt: return ExitCode::corrupt;
        case ErrorCode::untrusted: return ExitCode::untrusted;
        case ErrorCode::unsupported: return ExitCode::unsupported;
        case ErrorCode::not_found: return ExitCode::not_found;
        case ErrorCode::io:
        case ErrorCode::no_space:
        case ErrorCode::timeout: return ExitCode::io;
        case ErrorCode::internal: return ExitCode::internal;
    }
    return ExitCode::internal;
}

std::string_view advice(ExitCode code) {
    for (const ExitCodeInfo& info : k_exit_codes) {
        if (info.code == code) return info.advice;
    }
    return {};
}

std::string exit_code_help() {
    std::string text = "Exit codes:\n";
    for (const ExitCodeInfo& info : k_exit_codes) {
        const std::string number = std::to_string(static_cast<int>(info.code));
        text.append(4 - number.size(), ' ').append(number).append("  ").append(info.meaning).append("\n");
    }
    return text;
}

}  // namespace coldframe::cli
