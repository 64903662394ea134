// Single flight: one leads, the others are served, lead in its place, or go on alone.
#include <store/support.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <thread>

using namespace coldframe;
using namespace coldframe::testing;
using store::Joined;
using store::JoinOptions;
using store::Role;

namespace {

using namespace std::chrono_literals;

constexpr auto k_soon = 20s;  // far more than anything takes here

Package wanted() { return package_of("f", 1); }
Digest key() { return store::key_digest(wanted()); }

// What a leader does.
void hang() {
    for (;;) ::pause();
}

void wait_for_its_compiler() {
    const pid_t compiler = ::fork();
    for (volatile bool computes = compiler == 0; computes;) {
    }
    ::waitpid(compiler, nullptr, 0);
}

// A process that leads, until it is told otherwise.
class Leader {
   public:
    explicit Leader(const Scratch& scratch, const JoinOptions& options = {}, void (*work)() = &hang) {
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        child_ = ::fork();
        REQUIRE(child_ >= 0);
        if (child_ == 0) {
            ::setpgid(0, 0);
            const Joined joined = scratch.open()->join(key(), options);
            const char role = joined.role == Role::leader ? 'l' : '?';
            static_cast<void>(::write(ready[1], &role, 1));
            work();
        }
        char role = 0;
        REQUIRE(::read(ready[0], &role, 1) == 1);
        CHECK(role == 'l');
        ::close(ready[0]);
        ::close(ready[1]);
    }
    Leader(const Leader&) = delete;
    Leader& operator=(const Leader&) = delete;
    ~Leader() {
        ::kill(-child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }
    void signal(int number) const { ::kill(child_, number); }

   private:
    pid_t child_ = 0;
};

std::future<Role> join_later(store::Store& store, JoinOptions options = {}) {
    return std::async(std::launch::async, [&store, options] { return store.join(key(), options).role; });
}

bool waits(const std::future<Role>& role) { return role.wait_for(200ms) == std::future_status::timeout; }

}  // namespace

TEST_CASE("who comes first leads, and the others are served when it has published") {
    const Scratch scratch;
    const auto first = scratch.open();
    const auto second = scratch.open();
    Joined leader = first->join(key(), {});
    REQUIRE(leader.role == Role::leader);
    std::future<Role> other = join_later(*second);
    CHECK(waits(other));
    REQUIRE(first->put(wanted()));
    REQUIRE(other.wait_for(k_soon) == std::future_status::ready);
    CHECK(other.get() == Role::served);
    leader.flight.reset();

    SUBCASE("and at once when it is there already") { CHECK(second->join(key(), {}).role == Role::served); }
    SUBCASE("but not by what does not serve it") {
        const Digest id = second->get(key()).value().variants.at(0).id;
        CHECK(second->join(key(), {.known = {id}}).role == Role::leader);
    }
    SUBCASE("another key is another flight") { CHECK(second->join(digest_of("other"), {}).role == Role::leader); }
}

TEST_CASE("when the leader ends without publishing, the others go on by themselves") {
    const Scratch scratch;
    const auto store = scratch.open();
    Joined leader = store->join(key(), {});
    std::future<Role> other = join_later(*store);
    CHECK(waits(other));
    leader.flight.reset();
    REQUIRE(other.wait_for(k_soon) == std::future_status::ready);
    CHECK(other.get() == Role::alone);
    CHECK(store->join(key(), {}).role == Role::leader);  // who comes later
}

TEST_CASE("a leader that dies is followed by another") {
    const Scratch scratch;
    const auto store = scratch.open();
    const Leader leader(scratch);
    std::future<Role> other = join_later(*store);
    CHECK(waits(other));
    leader.signal(SIGKILL);
    REQUIRE(other.wait_for(k_soon) == std::future_status::ready);
    CHECK(other.get() == Role::leader);
}

TEST_CASE("so is one that is stopped, by one of those who wait") {
    const Scratch scratch;
    const auto store = scratch.open();
    const Leader leader(scratch);
    leader.signal(SIGSTOP);
    const JoinOptions options{.stalled = 1500ms};
    std::future<Joined> other = std::async(std::launch::async, [&] { return store->join(key(), options); });
    REQUIRE(other.wait_for(k_soon) == std::future_status::ready);
    const Joined second = other.get();
    CHECK(second.role == Role::leader);
    std::future<Role> third = join_later(*store, options);
    REQUIRE(store->put(wanted()));
    CHECK(third.get() == Role::served);
}

TEST_CASE("so is one that hangs, but not one whose compiler gets on") {
    if (!processor_time()) return;
    const Scratch scratch;
    const auto store = scratch.open();
    JoinOptions options{.stalled = 1500ms, .idle = 500ms};
    SUBCASE("hangs") {
        const Leader leader(scratch, options);
        CHECK(store->join(key(), options).role == Role::leader);
    }
    SUBCASE("waits for its compiler") {
        const Leader leader(scratch, options, &wait_for_its_compiler);
        options.wait = 3500ms;
        CHECK(store->join(key(), options).role == Role::alone);
    }
}

TEST_CASE("a forked child neither ends its parent's flight nor waits for its thread") {
    const Scratch scratch;
    const auto store = scratch.open();
    Joined leader = store->join(key(), {});
    std::this_thread::sleep_for(700ms);  // the thread waits to touch the file
    const pid_t child = ::fork();
    if (child == 0) {
        leader.flight->forget();
        leader.flight.reset();
        ::_exit(0);
    }
    std::future<int> ended = std::async(std::launch::async, [&] {
        int status = -1;
        ::waitpid(child, &status, 0);
        return status;
    });
    const bool in_time = ended.wait_for(k_soon) == std::future_status::ready;
    if (!in_time) ::kill(child, SIGKILL);
    CHECK(in_time);
    CHECK(ended.get() == 0);
    CHECK(store->join(key(), {.wait = 30ms}).role == Role::alone);
}

TEST_CASE("nobody waits longer than asked for, or when interrupted, or for a store that cannot be written") {
    const Scratch scratch;
    const auto store = scratch.open();
    const Joined leader = store->join(key(), {});
    REQUIRE(leader.role == Role::leader);
    CHECK(store->join(key(), {.wait = 30ms}).role == Role::alone);
    CHECK(store->join(key(), {.interrupted = [] { return true; }}).role == Role::alone);
    CHECK(scratch.open({.access = store::Access::read_only})->join(key(), {}).role == Role::alone);
}
