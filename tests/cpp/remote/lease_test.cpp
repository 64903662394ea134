// Single flight among hosts: two stores, each with the same remote behind it, which keeps leases or is a directory.
#include <remote/lease_support.hpp>

#include <coldframe/remote/open_remote.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <future>

using namespace coldframe;
using namespace coldframe::remote;
using namespace coldframe::testing;
using namespace std::chrono_literals;
using store::Counter;
using store::Joined;
using store::JoinOptions;
using store::Role;

namespace {

constexpr auto k_soon = 20s;  // far more than anything takes here

Package wanted() { return package_of("f", 1); }
Digest key() { return store::key_digest(wanted()); }

struct Host {
    Scratch scratch;
    TieredStore store;
    explicit Host(const RemoteSource& source, const TieredOptions& options = {}) : store(scratch.open(), source, options) {}
    [[nodiscard]] std::uint64_t counter(Counter which) { return store.statistics().value().counters[which]; }
};

std::future<Joined> join_later(TieredStore& store, JoinOptions options = {}) {
    return std::async(std::launch::async, [&store, options] { return store.join(key(), options); });
}

bool waits(const std::future<Joined>& joined) { return joined.wait_for(300ms) == std::future_status::timeout; }

Joined result(std::future<Joined>& joined) {
    REQUIRE(joined.wait_for(k_soon) == std::future_status::ready);
    return joined.get();
}

// Once for each kind of remote that can do it.
void with_each(const std::function<void(const RemoteSource&)>& test) {
    SUBCASE("a server with leases") { test(std::make_shared<LeaseServer>()->source()); }
    SUBCASE("blobs that are written on conditions") {
        const auto blobs = std::make_shared<MemoryServer>();
        blobs->conditional = true;
        test(blobs->source());
    }
    SUBCASE("a directory") {
        const Scratch shared;
        test(open_remote("file://" + shared.path, nullptr).value());
    }
}

}  // namespace

TEST_CASE("of two hosts one leads, and the other is served when the upload has arrived") {
    with_each([](const RemoteSource& source) {
        Host here(source);
        Host there(source);
        Joined leader = here.store.join(key(), {});
        REQUIRE(leader.role == Role::leader);
        std::future<Joined> other = join_later(there.store);
        CHECK(waits(other));
        REQUIRE(here.store.put(wanted()).has_value());
        leader.flight.reset();
        CHECK(result(other).role == Role::served);
        CHECK(there.store.local().get(key()).value().variants.size() == 1);
        CHECK(here.counter(Counter::remote_leases) == 1);
        CHECK(there.counter(Counter::remote_arrivals) == 1);
        REQUIRE(here.store.wait(30s));
        CHECK(there.store.join(key(), {}).role == Role::served);  // at once
    });
}

TEST_CASE("what arrived on the remote after the lookup serves a host that would lead") {
    with_each([](const RemoteSource& source) {
        Host here(source);
        Host there(source);
        CHECK(there.store.get(key()).value().variants.empty());
        REQUIRE(here.store.put(wanted()).has_value());
        REQUIRE(here.store.wait(30s));
        CHECK(there.store.join(key(), {}).role == Role::served);
        const Digest id = there.store.get(key()).value().variants.at(0).id;
        CHECK(there.store.join(key(), {.known = {id}}).role == Role::leader);
        CHECK(here.store.join(key(), {.known = {id}}).role == Role::leader);
    });
}

TEST_CASE("variants that this process put itself are no arrivals, though its store has them no more") {
    Host here(std::make_shared<LeaseServer>()->source());
    REQUIRE(here.store.put(wanted()).has_value());
    REQUIRE(here.store.wait(30s));
    REQUIRE(here.store.remove(key()).has_value());
    CHECK(here.store.join(key(), {}).role == Role::leader);
    CHECK(here.scratch.manifests().empty());
}

TEST_CASE("when the leader ends without publishing, the others go on, each with its own host's flight") {
    with_each([](const RemoteSource& source) {
        Host here(source);
        Host there(source);
        Joined leader = here.store.join(key(), {});
        std::future<Joined> other = join_later(there.store);
        CHECK(waits(other));
        leader.flight.reset();
        const Joined next = result(other);
        CHECK(next.role == Role::leader);
        CHECK(next.flight != nullptr);
    });
}

TEST_CASE("the lease is held until the upload is over") {
    const auto server = std::make_shared<LeaseServer>();
    std::atomic<bool> entered = false;
    std::atomic<bool> go_on = false;
    server->blobs->before_put = [&](const std::string&) {
        entered = true;
        while (!go_on) std::this_thread::sleep_for(1ms);
    };
    Host here(server->source());
    Host there(server->source());
    Joined leader = here.store.join(key(), {.stalled = 500ms});
    REQUIRE(here.store.put(wanted()).has_value());
    leader.flight.reset();
    while (!entered) std::this_thread::sleep_for(1ms);
    std::future<Joined> other = join_later(there.store, {.stalled = 500ms});
    std::this_thread::sleep_for(1s);  // it is renewed meanwhile
    CHECK(waits(other));
    SUBCASE("which succeeds") {
        go_on = true;
        CHECK(result(other).role == Role::served);
    }
    SUBCASE("or fails") {
        {
            const std::lock_guard lock(server->blobs->mutex);
            server->blobs->fail = [](const std::string& call) -> std::optional<Error> {
                if (call.starts_with("put")) return Error{ErrorCode::no_space, "full", {}};
                return std::nullopt;
            };
        }
        go_on = true;
        CHECK(result(other).role == Role::leader);
        CHECK(here.store.wait(30s));
        CHECK(here.counter(Counter::remote_upload_failures) == 1);
    }
    SUBCASE("or is dropped when the store is closed") {
        std::thread release([&] {
            std::this_thread::sleep_for(50ms);
            go_on = true;
        });
        here.store.close(0ms);
        release.join();
        CHECK(result(other).role != Role::alone);
        CHECK(server->held() <= 1);  // by the other
    }
}

TEST_CASE("a lease that is not renewed expires, and one of those who wait takes it") {
    const auto server = std::make_shared<LeaseServer>();
    Host there(server->source());
    server->take_for_good(key(), "stopped", 800ms);
    std::future<Joined> other = join_later(there.store, {.stalled = 800ms});
    CHECK(waits(other));
    Joined next = result(other);
    CHECK(next.role == Role::leader);
    CHECK(server->holder(key()) != "stopped");
    next.flight.reset();
    REQUIRE(there.store.wait(30s));
    CHECK(server->held() == 0);
}

TEST_CASE("so is one among conditional blobs, by their own clock, and the others go on waiting for who took it") {
    const auto blobs = std::make_shared<MemoryServer>();
    blobs->conditional = true;
    const std::string hex = to_hex(key());
    const std::string name = "lease/" + hex.substr(0, 2) + "/" + hex;
    Host first(blobs->source());
    Host second(blobs->source());
    SUBCASE("of a host that is stopped") {
        const std::string text = "coldframe lease 1\nstopped 7 free\n";
        blobs->blobs[name] = Bytes(text.begin(), text.end());
    }
    SUBCASE("that is damaged") { blobs->blobs[name] = Bytes{1, 2, 3}; }
    std::future<Joined> one = join_later(first.store, {.stalled = 1s});
    CHECK(waits(one));
    std::future<Joined> other = join_later(second.store, {.stalled = 1s});
    Joined next = result(one);
    CHECK(next.role == Role::leader);
    CHECK(first.counter(Counter::remote_leases) == 1);
    CHECK(other.wait_for(1500ms) == std::future_status::timeout);
    REQUIRE(first.store.put(wanted()).has_value());
    next.flight.reset();
    CHECK(result(other).role == Role::served);
    REQUIRE(first.store.wait(30s));
    const std::lock_guard lock(blobs->mutex);
    const Bytes& left = blobs->blobs[name];
    CHECK(std::string(left.begin(), left.end()) == "coldframe lease 1\n");
}

TEST_CASE("a lease that neither expires nor is renewed is not waited for") {
    const auto server = std::make_shared<LeaseServer>();
    Host there(server->source());
    server->take_for_good(key(), "forever", 24h);
    std::future<Joined> other = join_later(there.store, {.stalled = 100ms});
    CHECK(waits(other));
    CHECK(result(other).role == Role::leader);
    CHECK(server->holder(key()) == "forever");
    CHECK(there.counter(Counter::remote_leases) == 0);
}

TEST_CASE("nobody waits longer than asked for, when interrupted, or for a remote that is only read") {
    const auto server = std::make_shared<LeaseServer>();
    Host here(server->source());
    Host there(server->source());
    const Joined leader = here.store.join(key(), {});
    REQUIRE(leader.role == Role::leader);
    CHECK(there.store.join(key(), {.wait = 300ms}).role == Role::leader);
    CHECK(there.store.join(key(), {.interrupted = [] { return true; }}).role == Role::leader);
    const std::size_t before = server->calls;
    Host reading(server->source(), {.access = store::Access::read_only});
    CHECK(reading.store.join(key(), {}).role == Role::leader);
    CHECK(server->calls == before);
}

TEST_CASE("a remote that fails in a wait ends it as soon as it costs more than lookups may; refusals end leases") {
    const auto server = std::make_shared<LeaseServer>();
    Host there(server->source());
    server->take_for_good(key(), "other", 24h);
    std::future<Joined> other = join_later(there.store, {.stalled = 1h});
    CHECK(waits(other));
    SUBCASE("once is put up with") {
        server->fail_once(ErrorCode::timeout);
        CHECK(waits(other));
        server->release("other");
        CHECK(result(other).role == Role::leader);
    }
    SUBCASE("for good, and the breaker opens") {
        server->fail_from_now_on(ErrorCode::io);
        CHECK(result(other).role == Role::leader);
        CHECK(there.counter(Counter::remote_failures) == 3);
        CHECK(there.store.get(key()).value().variants.empty());
        CHECK(there.counter(Counter::remote_skipped) == 1);
    }
    SUBCASE("refused: no other lease is asked for, and lookups go on") {
        server->fail_from_now_on(ErrorCode::untrusted);
        CHECK(result(other).role == Role::leader);
        const std::size_t before = server->calls;
        CHECK(there.store.join(digest_of("another key"), {}).role == Role::leader);
        CHECK(server->calls == before);
        CHECK(there.store.get(key()).value().variants.empty());
        CHECK(there.counter(Counter::remote_skipped) == 0);
    }
}

TEST_CASE("what arrives and is damaged has not arrived") {
    const auto server = std::make_shared<LeaseServer>();
    Host here(server->source());
    Host there(server->source());
    REQUIRE(here.store.put(wanted()).has_value());
    REQUIRE(here.store.wait(30s));
    for (auto& [name, bytes] : server->blobs->blobs) {
        if (name.starts_with("cas/")) bytes[bytes.size() / 2] ^= 1;
    }
    CHECK(there.store.join(key(), {}).role == Role::leader);
    CHECK(there.counter(Counter::remote_corrupt) == 1);
}

TEST_CASE("a flight that outlives its store gives the lease back") {
    const auto server = std::make_shared<LeaseServer>();
    Joined leader;
    {
        Host here(server->source());
        leader = here.store.join(key(), {});
        CHECK(server->held() == 1);
    }
    CHECK(server->held() == 1);
    leader.flight.reset();
    CHECK(server->held() == 0);
}

#ifndef __SANITIZE_THREAD__  // it does not know threads that a child starts
TEST_CASE("a forked child neither renews nor ends its parent's lease") {
    const auto server = std::make_shared<LeaseServer>();
    Host here(server->source());
    Joined leader = here.store.join(key(), {});
    std::this_thread::sleep_for(700ms);  // its threads wait to renew it
    const pid_t child = ::fork();
    if (child == 0) {
        const std::size_t before = server->calls;
        leader.flight->forget();
        leader.flight.reset();
        std::this_thread::sleep_for(1500ms);
        ::_exit(server->calls == before && server->held() == 1 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(server->held() == 1);
    CHECK(here.scratch.open()->join(key(), {.wait = 0ms}).role == Role::alone);
}

TEST_CASE("a host whose leader is killed or stopped holds nobody up: a directory") {
    const Scratch shared;
    const RemoteSource source = open_remote("file://" + shared.path, nullptr).value();
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const Scratch own;
    const pid_t child = ::fork();
    if (child == 0) {
        TieredStore store(own.open(), source);
        const Joined joined = store.join(key(), {});
        const char role = joined.role == Role::leader ? 'l' : '?';
        static_cast<void>(::write(ready[1], &role, 1));
        for (;;) ::pause();
    }
    char role = 0;
    REQUIRE(::read(ready[0], &role, 1) == 1);
    CHECK(role == 'l');
    Host there(source);
    std::future<Joined> other = join_later(there.store, {.stalled = 1500ms});
    CHECK(waits(other));
    SUBCASE("killed") { ::kill(child, SIGKILL); }
    SUBCASE("stopped") { ::kill(child, SIGSTOP); }
    CHECK(result(other).role == Role::leader);
    CHECK(there.counter(Counter::remote_leases) == 1);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
}
#endif
