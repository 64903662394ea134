// Descendants are found from thread to thread through /proc/<process>/task/<thread>/children, which a kernel may have been
// built without. What a process that has ended has used is found with its parent, if that has waited for it; what it takes
// along otherwise makes the sum smaller, which is no idleness either: something has ended.
#include <coldframe/util/activity.hpp>

#include <dirent.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace coldframe {
namespace {

using std::chrono::nanoseconds;

constexpr int k_samples = 16;
constexpr int k_idle_share = 100;  // of one core
constexpr std::size_t k_max_processes = 4096;
constexpr nanoseconds k_error = std::chrono::milliseconds(10);  // of two measurements: clocks are read one after the other

nanoseconds clock_time(clockid_t clock) {
    timespec time{};
    if (::clock_gettime(clock, &time) != 0) return {};
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

nanoseconds time_of(const timeval& time) { return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec); }

nanoseconds time_of_ended_children() {
    rusage usage{};
    if (::getrusage(RUSAGE_CHILDREN, &usage) != 0) return {};
    return time_of(usage.ru_utime) + time_of(usage.ru_stime);
}

// Not by its number, which means another process where /proc is that of another namespace.
constexpr pid_t k_self = 0;

std::string folder_of(pid_t process) { return process == k_self ? "/proc/self" : "/proc/" + std::to_string(process); }

// Of another process and of its children that have ended: utime, stime, cutime and cstime, the 14th field and on. The second
// one is the program's name, which may hold spaces and parentheses.
nanoseconds time_of(pid_t process) {
    std::ifstream file(folder_of(process) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return {};  // it has ended
    std::istringstream fields(text.substr(name_end + 1));
    std::string field;
    for (int i = 3; i < 14; ++i) fields >> field;
    std::int64_t sum = 0, ticks = 0;
    for (int i = 0; i < 4 && fields >> ticks; ++i) sum += ticks;
    return nanoseconds(std::chrono::seconds(1)) / ::sysconf(_SC_CLK_TCK) * sum;
}

// Adds the children of all its threads. Whether the kernel tells; a process that has ended has none.
bool add_children(pid_t process, std::vector<pid_t>& processes) {
    const std::string folder = folder_of(process) + "/task";
    const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir(folder.c_str()), &::closedir);
    if (!threads) return process != k_self;
    while (const dirent* entry = ::readdir(threads.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of this thread alone
        const std::string thread = folder + "/" + static_cast<const char*>(entry->d_name);
        if (thread.ends_with('.')) continue;
        std::ifstream children(thread + "/children");
        if (!children && ::access(thread.c_str(), F_OK) == 0) return false;  // else it has ended meanwhile
        for (pid_t child = 0; children >> child;) processes.push_back(child);
    }
    return true;
}

}  // namespace

std::optional<nanoseconds> processor_time() {
    nanoseconds used = clock_time(CLOCK_PROCESS_CPUTIME_ID) - clock_time(CLOCK_THREAD_CPUTIME_ID) + time_of_ended_children();
    std::vector<pid_t> processes;
    if (!add_children(k_self, processes)) return std::nullopt;
    for (std::size_t i = 0; i < processes.size() && i < k_max_processes; ++i) {
        used += time_of(processes[i]);
        if (!add_children(processes[i], processes)) return std::nullopt;
    }
    return used;
}

bool Activity::is_idle() {
    const auto now = std::chrono::steady_clock::now();
    if (!samples_.empty() && now - samples_.back().when < idle_ / k_samples) return is_idle_;
    const std::optional<nanoseconds> used = processor_time();
    if (!used) return false;
    if (!samples_.empty() && samples_.back().used - *used > k_error) samples_.clear();
    samples_.push_back({now, *used});
    while (samples_.size() > 1 && now - samples_[1].when >= idle_) samples_.pop_front();
    const Sample& first = samples_.front();
    is_idle_ = now - first.when >= idle_ && (*used - first.used) * k_idle_share < now - first.when;
    return is_idle_;
}

}  // namespace coldframe
