#include <coldframe/cli/interpreter.hpp>
#include <coldframe/cli/run_command.hpp>

#include <coldframe/util/fs.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace coldframe::cli {
namespace {

void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

// As python/coldframe/automatic.py reads them.
void tell(const RunOptions& options) {
    set("COLDFRAME", "1");
    if (!options.directory.empty()) set("COLDFRAME_DIR", std::filesystem::absolute(options.directory).string());
    if (!options.remote.empty()) set("COLDFRAME_REMOTE", options.remote);
    if (options.max_bytes) set("COLDFRAME_MAX_BYTES", std::to_string(*options.max_bytes));
    if (options.read_only) set("COLDFRAME_READ_ONLY", "1");
    if (options.no_single_flight) set("COLDFRAME_SINGLE_FLIGHT", "0");
    if (!options.on_miss.empty()) set("COLDFRAME_ON_MISS", options.on_miss);
}

}  // namespace

Error run_program(const RunOptions& options) {
    if (options.arguments.empty()) {
        return {ErrorCode::invalid_argument, "what is to be run is missing: coldframe run script.py, or -m module",
                "coldframe run"};
    }
    const Result<std::string> python = options.python.empty() ? find_interpreter() : options.python;
    if (!python) return python.error();
    tell(options);
    std::vector<std::string> words{*python, "-m", "coldframe.run"};
    words.insert(words.end(), options.arguments.begin(), options.arguments.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execvp(python->c_str(), arguments.data());
    return errno_error(errno, "run", *python);
}

}  // namespace coldframe::cli
