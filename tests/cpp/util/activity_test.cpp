#include <coldframe/util/activity.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <thread>

using namespace coldframe;

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr auto k_deadline = 60s;

// Uses the processor for so long, however long that takes.
void compute(clockid_t clock, nanoseconds duration) {
    const auto used = [&] {
        timespec time{};
        ::clock_gettime(clock, &time);
        return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
    };
    for (const auto end = used() + duration; used() < end;) {
    }
}

// Whether it becomes so, asked now and then.
bool becomes(Activity& activity, bool idle) {
    for (const auto end = steady_clock::now() + k_deadline; steady_clock::now() < end;) {
        if (activity.is_idle() == idle) return true;
        std::this_thread::sleep_for(10ms);
    }
    return false;
}

pid_t start_child(void (*body)()) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        body();
        ::_exit(0);
    }
    return child;
}

void end(pid_t child) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

}  // namespace

TEST_CASE("processor time is that of the other threads and of descendants, also of those that have ended") {
    const auto begin = processor_time();
    if (!begin) return;  // a kernel that does not tell
    compute(CLOCK_THREAD_CPUTIME_ID, 300ms);
    CHECK(*processor_time() - *begin < 200ms);
    std::thread([] { compute(CLOCK_THREAD_CPUTIME_ID, 300ms); }).join();
    const auto with_thread = processor_time().value();
    CHECK(with_thread - *begin >= 300ms);
    static int waited[2];
    REQUIRE(::pipe(waited) == 0);
    const pid_t child = start_child([] {  // whose own child computes, and which has waited for it
        ::waitpid(start_child([] { compute(CLOCK_PROCESS_CPUTIME_ID, 300ms); }), nullptr, 0);
        static_cast<void>(!::write(waited[1], "", 1));
        for (;;) ::pause();
    });
    char byte = 0;
    REQUIRE(::read(waited[0], &byte, 1) == 1);
    CHECK(processor_time().value() - with_thread >= 280ms);
    end(child);
    CHECK(processor_time().value() - with_thread >= 280ms);
    for (const int fd : waited) ::close(fd);
}

TEST_CASE("a process that waits is idle, and no more when it or its child computes") {
    if (!processor_time()) return;
    Activity activity(400ms);
    CHECK_FALSE(activity.is_idle());
    CHECK(becomes(activity, true));
    std::thread([] { compute(CLOCK_THREAD_CPUTIME_ID, 500ms); }).join();
    CHECK(becomes(activity, false));
    CHECK(becomes(activity, true));
    const pid_t child = start_child([] { compute(CLOCK_PROCESS_CPUTIME_ID, 1h); });
    CHECK(becomes(activity, false));
    end(child);
    CHECK(becomes(activity, true));
}

TEST_CASE("a process that computes is never idle") {
    std::jthread other([](const std::stop_token& stop) {
        while (!stop.stop_requested()) compute(CLOCK_THREAD_CPUTIME_ID, 1ms);
    });
    Activity activity(800ms);
    for (const auto end = steady_clock::now() + 2s; steady_clock::now() < end; std::this_thread::sleep_for(10ms)) {
        CHECK_FALSE(activity.is_idle());
    }
}
