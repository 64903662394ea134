// Real processes at once, and some that are killed: what one sees of another's work is whole or nothing.
#include <store/support.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <iostream>
#include <random>
#include <thread>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

using namespace std::chrono_literals;

int kill_count() { return repetitions("COLDFRAME_KILLS", 60); }

// In a child; what it yields is the exit status.
pid_t start(const std::function<int()>& body) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int status = 99;
        try {
            status = body();
        } catch (...) {
        }
        ::_exit(status);
    }
    return child;
}

int wait_for(pid_t child) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Package numbered(unsigned number) {
    return package_of("f" + std::to_string(number), 2, "kernel" + std::to_string(number), 5000);
}

const std::vector<Package>& all_packages() {
    static const std::vector<Package> packages = [] {
        std::vector<Package> made;
        for (unsigned i = 0; i < 8; ++i) made.push_back(numbered(i));
        return made;
    }();
    return packages;
}

// 0: right or missing; 1: wrong.
int check_right_or_missing(store::Store& store, const Package& package) {
    const auto found = store.get(package.key);
    if (!found) return 1;
    for (const store::Variant& variant : found->variants) {
        const auto& blobs = variant.package.artifacts.at(1)->blobs;
        for (std::size_t i = 0; i < blobs.size(); ++i) {
            const Result<Bytes> bytes = blobs[i]->read();
            if (bytes && *bytes != package.artifacts[1]->blobs[i]->read().value()) return 1;
            if (!bytes && bytes.error().code != ErrorCode::not_found) return 1;
        }
    }
    for (const store::Refusal& refusal : found->refusals) {
        if (refusal.error.code != ErrorCode::not_found) return 1;
    }
    return 0;
}

// Puts, gets and collects until it is killed, or so often. Without a grace, collectors take what writers are about to name.
int work(const std::string& path, unsigned seed, int rounds) {
    std::mt19937 random(seed);
    auto store = store::DiskStore::open(path, {.max_bytes = 60000, .min_free_bytes = 0, .grace = 0s}).value();
    for (int round = 0; round < rounds; ++round) {
        const Package& package = all_packages()[random() % all_packages().size()];
        const auto action = random() % 8;
        if (action < 4) {
            if (check_right_or_missing(*store, package) != 0) return 1;
        } else if (action < 7) {
            const auto report = store->put(package);
            if (!report && report.error().code != ErrorCode::no_space) {
                std::cerr << report.error().message << '\n';
                return 2;
            }
        } else {
            if (!store->collect({.max_bytes = 30000})) return 3;
        }
    }
    return 0;
}

}  // namespace

TEST_CASE("64 processes that put the same key leave one variant, and each is served at once") {
    const Scratch scratch;
    const Package& package = all_packages()[0];
    std::vector<pid_t> children;
    for (int i = 0; i < 64; ++i) {
        children.push_back(start([&] {
            const auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 0}).value();
            if (!store->put(package)) return 1;
            const auto found = store->get(package.key);
            if (!found || found->variants.size() != 1 || !found->refusals.empty()) return 2;
            return check_right_or_missing(*store, package);
        }));
    }
    for (const pid_t child : children) CHECK(wait_for(child) == 0);
    const auto store = scratch.open();
    const auto report = store->check().value();
    CHECK(report.problems.empty());
    CHECK(report.usage.variants == 1);
    CHECK(report.usage.objects == 2);
    CHECK(store->statistics().value().counters[store::Counter::puts] == 64);
    CHECK(scratch.files("tmp").empty());
}

TEST_CASE("processes that put, get and collect at once never see anything wrong") {
    const Scratch scratch;
    static_cast<void>(all_packages());
    std::vector<pid_t> children;
    for (unsigned i = 0; i < 6; ++i) children.push_back(start([&] { return work(scratch.path, i, 150); }));
    for (const pid_t child : children) CHECK(wait_for(child) == 0);
    const auto store = scratch.open();
    for (const Package& package : all_packages()) REQUIRE(store->put(package).has_value());
    for (const Package& package : all_packages()) check_served(*store, package);
}

TEST_CASE("a process killed at any moment of put, get or collect leaves a sound store") {
    const Scratch scratch;
    static_cast<void>(all_packages());
    std::mt19937 random(3);
    const int kills = kill_count();
    int wrong = 0;
    for (int round = 0; round < kills; ++round) {
        const pid_t child = start([&] { return work(scratch.path, static_cast<unsigned>(round), 1 << 30); });
        std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 30000));
        REQUIRE(::kill(child, SIGKILL) == 0);
        REQUIRE(wait_for(child) == -1);
        const auto store = scratch.open();
        const auto report = store->check().value();
        for (const auto& problem : report.problems) FAIL_CHECK(problem.path, ": ", problem.error.what());
        const Package& package = all_packages()[random() % all_packages().size()];
        REQUIRE(store->put(package).has_value());
        check_served(*store, package);
        for (const Package& other : all_packages()) wrong += check_right_or_missing(*store, other);
        REQUIRE(wrong == 0);
    }
    std::cout << kills << " processes killed in put, get or collect: " << wrong << " wrong, no damage found\n";
}

TEST_CASE("a stopped collector neither blocks others for ever nor does harm when it goes on") {
    const Scratch scratch;
    static_cast<void>(all_packages());
    std::mt19937 random(5);
    for (int round = 0; round < 10; ++round) {
        for (const Package& package : all_packages()) REQUIRE(scratch.open()->put(package).has_value());
        const pid_t child = start([&] {
            const auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 0, .grace = 0s}).value();
            for (int i = 0; i < 20; ++i) static_cast<void>(store->collect({.max_bytes = 20000}));
            return 0;
        });
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        REQUIRE(::kill(child, SIGSTOP) == 0);
        for (const Package& package : all_packages()) {
            REQUIRE(scratch.open()->put(package).has_value());
            REQUIRE(check_right_or_missing(*scratch.open(), package) == 0);
        }
        REQUIRE(::kill(child, SIGCONT) == 0);
        CHECK(wait_for(child) == 0);
        for (const Package& package : all_packages()) REQUIRE(check_right_or_missing(*scratch.open(), package) == 0);
    }
}
