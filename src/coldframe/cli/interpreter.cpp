#include <coldframe/cli/interpreter.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace coldframe::cli {
namespace {

namespace filesystem = std::filesystem;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

filesystem::path folder_of(const filesystem::path& file) {
    std::error_code failed;
    return filesystem::weakly_canonical(file.parent_path(), failed);
}

// The interpreters that may be meant, the likeliest first, one of each folder: /bin is /usr/bin.
std::vector<filesystem::path> candidates(const filesystem::path& self) {
    std::vector<filesystem::path> found;
    const auto add = [&](const filesystem::path& folder, std::string_view name) {
        const filesystem::path file = folder / name;
        if (folder.empty() || ::access(file.c_str(), X_OK) != 0) return;
        const auto same = [&](const filesystem::path& other) { return folder_of(other) == folder_of(file); };
        if (std::ranges::none_of(found, same)) found.push_back(file);
    };
    add(variable("VIRTUAL_ENV"), "bin/python");
    add(variable("CONDA_PREFIX"), "bin/python");
    const bool active = !found.empty();
    const filesystem::path called = program_invocation_name;
    add(called.parent_path(), "python3");  // none, if the shell has looked it up in PATH
    std::istringstream path(variable("PATH"));
    for (std::string folder; std::getline(path, folder, ':');) add(folder, "python3");
    if (!active) add(self.parent_path(), "python3");
    return found;
}

bool can_import_coldframe(const filesystem::path& python) {
    std::string words[] = {python.string(), "-c", "import coldframe._core"};
    char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
    std::vector<char*> environment;
    for (char** each = environ; *each != nullptr; ++each) {
        if (!std::string_view(*each).starts_with("COLDFRAME=")) environment.push_back(*each);  // or it opened a store
    }
    environment.push_back(nullptr);
    posix_spawn_file_actions_t silent;
    if (::posix_spawn_file_actions_init(&silent) != 0) return false;
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        ::posix_spawn_file_actions_addopen(&silent, stream, "/dev/null", O_RDWR, 0);
    }
    pid_t child = 0;
    const bool started = ::posix_spawn(&child, python.c_str(), &silent, nullptr, arguments, environment.data()) == 0;
    ::posix_spawn_file_actions_destroy(&silent);
    int status = 0;
    while (started && ::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return false;
    }
    return started && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

Result<std::string> find_interpreter() {
    std::error_code failed;
    const filesystem::path self = filesystem::read_symlink("/proc/self/exe", failed);
    std::string asked;
    for (const filesystem::path& python : candidates(self)) {
        if (folder_of(python) == folder_of(self) || can_import_coldframe(python)) return python.string();
        asked += (asked.empty() ? "" : ", ") + python.string();
    }
    return fail(ErrorCode::invalid_argument,
                (asked.empty() ? "no Python was found" : "coldframe cannot be imported by " + asked) +
                    ": install it in the active environment, or say which Python is to run the "
                    "program: coldframe run --python FILE");
}

}  // namespace coldframe::cli
