// A local store with a remote behind it.
#include <remote/support.hpp>

#include <sys/wait.h>
#include <unistd.h>

using namespace coldframe;
using namespace coldframe::remote;
using namespace coldframe::testing;
using namespace std::chrono_literals;
using store::Counter;

namespace {

#ifdef __SANITIZE_THREAD__
constexpr bool k_forks = false;  // it does not know threads that a child starts
#else
constexpr bool k_forks = true;
#endif

std::uint64_t counter(store::Store& store, Counter which) { return store.statistics().value().counters[which]; }

struct Host {
    Scratch scratch;
    TieredStore store;
    explicit Host(const std::shared_ptr<MemoryServer>& server, const TieredOptions& options = {})
        : store(scratch.open(), server->source(), options) {}
};

std::size_t position(const std::vector<std::string>& calls, std::string_view start, bool last) {
    std::size_t found = calls.size();
    for (std::size_t i = 0; i < calls.size(); ++i) {
        if (calls[i].starts_with(start) && (last || found == calls.size())) found = i;
    }
    return found;
}

Error error_of(ErrorCode code) { return {code, "as told", {}}; }

}  // namespace

TEST_CASE("what one host puts another gets, objects before the record, and it stays there") {
    const auto server = std::make_shared<MemoryServer>();
    Host here(server);
    Host there(server);
    const Package package = package_of("f", 3);
    REQUIRE(here.store.put(package).has_value());
    REQUIRE(here.store.wait(30s));
    CHECK(server->names().size() == 5);
    CHECK(position(server->calls, "put cas/", true) < position(server->calls, "put ac/", false));
    check_served(there.store, package);
    CHECK(counter(there.store, Counter::remote_hits) == 1);
    CHECK(counter(there.store, Counter::misses) == 1);
    server->fail = [](const std::string&) { return std::optional(error_of(ErrorCode::io)); };
    check_served(there.store, package);
    CHECK(counter(there.store, Counter::hits) == 1);
    CHECK(there.store.check().value().problems.empty());
}

TEST_CASE("objects that are here already are not downloaded, and those that are there are not uploaded") {
    const auto server = std::make_shared<MemoryServer>();
    Host here(server);
    Host there(server);
    REQUIRE(here.store.put(package_of("f", 3)).has_value());
    REQUIRE(here.store.put(package_of("g", 3)).has_value());
    REQUIRE(here.store.wait(30s));
    CHECK(std::ranges::count_if(server->calls, [](const auto& call) { return call.starts_with("put cas/"); }) == 5);
    check_served(there.store, package_of("f", 3));
    const auto before = counter(there.store, Counter::remote_bytes_read);
    check_served(there.store, package_of("g", 3));
    CHECK(counter(there.store, Counter::remote_bytes_read) - before < 10000);
}

TEST_CASE("each call that fails, in each way, makes a miss and nothing else; then all is as before") {
    const auto server = std::make_shared<MemoryServer>();
    const Package package = package_of("f", 2);
    {
        Host here(server);
        REQUIRE(here.store.put(package).has_value());
        REQUIRE(here.store.wait(30s));
    }
    for (const ErrorCode code : {ErrorCode::timeout, ErrorCode::io, ErrorCode::untrusted, ErrorCode::corrupt}) {
        for (std::size_t at = 0; at < 4; ++at) {  // record, manifest, two objects
            Host there(server);
            server->calls.clear();
            server->fail = [&](const std::string&) -> std::optional<Error> {
                if (server->calls.size() == at + 1) return error_of(code);
                return std::nullopt;
            };
            const auto found = there.store.get(package.key);
            REQUIRE(found.has_value());
            CHECK(found->variants.empty());
            REQUIRE(found->refusals.size() == 1);
            CHECK(found->refusals[0].error.code == code);
            CHECK(there.scratch.manifests().empty());
            server->fail = nullptr;
            check_served(there.store, package);
        }
    }
}

TEST_CASE("a disk that takes nothing does not keep the remote from serving") {
    const auto server = std::make_shared<MemoryServer>();
    const Package package = package_of("f", 2);
    Host here(server);
    REQUIRE(here.store.put(package).has_value());
    REQUIRE(here.store.wait(30s));
    const Scratch scratch;
    REQUIRE(scratch.open()->put(package_of("other", 0)).has_value());
    auto local = store::DiskStore::open(scratch.path, {.min_free_bytes = ~std::uint64_t{0} / 2}).value();
    TieredStore there(std::move(local), server->source());
    check_served(there, package);
    CHECK(scratch.objects().empty());
    CHECK_FALSE(there.put(package).has_value());
}

TEST_CASE("too many uploads are dropped and counted, and closing drops what does not make it") {
    const auto server = std::make_shared<MemoryServer>();
    std::atomic<bool> entered = false;
    std::atomic<bool> go_on = false;
    server->before_put = [&](const std::string&) {
        entered = true;
        while (!go_on) std::this_thread::sleep_for(1ms);
    };
    Host here(server, {.max_waiting = 2});
    REQUIRE(here.store.put(package_of("f0", 1)).has_value());
    while (!entered) std::this_thread::sleep_for(1ms);
    for (int i = 1; i < 5; ++i) REQUIRE(here.store.put(package_of("f" + std::to_string(i), 1)).has_value());
    CHECK(counter(here.store, Counter::remote_uploads_dropped) == 2);
    CHECK_FALSE(here.store.wait(10ms));
    std::thread release([&] {
        std::this_thread::sleep_for(20ms);
        go_on = true;
    });
    here.store.close(0ms);
    release.join();
    CHECK(counter(here.store, Counter::remote_uploads) + counter(here.store, Counter::remote_upload_failures) == 1);
    CHECK(counter(here.store, Counter::remote_uploads_dropped) == 4);
    REQUIRE(here.store.put(package_of("g", 1)).has_value());
    CHECK(counter(here.store, Counter::remote_uploads_dropped) == 5);
}

TEST_CASE("lookups from many threads at once") {
    const auto server = std::make_shared<MemoryServer>();
    Host here(server);
    for (int i = 0; i < 8; ++i) REQUIRE(here.store.put(package_of("f" + std::to_string(i), 2)).has_value());
    REQUIRE(here.store.wait(30s));
    Host there(server);
    std::vector<std::thread> threads;
    std::atomic<int> served = 0;
    for (int i = 0; i < 16; ++i) {
        threads.emplace_back([&, i] {
            const auto found = there.store.get(package_of("f" + std::to_string(i % 8), 2).key);
            if (found && found->variants.size() == 1) ++served;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(served == 16);
}

TEST_CASE("a forked child uses neither its parent's connections nor its thread" * doctest::skip(!k_forks)) {
    const auto server = std::make_shared<MemoryServer>();
    std::atomic<int> connections = 0;
    const Scratch scratch;
    const RemoteSource inner = server->source();
    TieredStore store(scratch.open(), {inner.name, [&] {
                                           ++connections;
                                           return inner.connect();
                                       }});
    REQUIRE(store.put(package_of("f", 1)).has_value());
    REQUIRE(store.wait(30s));
    REQUIRE(store.get(package_of("g", 1).key).value().variants.empty());
    const int before = connections;
    const pid_t child = ::fork();
    if (child == 0) {
        bool good = store.get(package_of("h", 1).key).value().variants.empty() && connections == before + 1;
        good = good && store.put(package_of("i", 1)).has_value() && store.wait(30s) && server->names().size() == 5;
        store.close(1s);
        ::_exit(good ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(server->names().size() == 3);
}
