// Every file call of put, get and collect fails in turn, in every way, or ends the process: what was stored stays served,
// nothing wrong is ever returned, and the next put and get work.
#include <store/support.hpp>
#include <support/fault_fs.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <iostream>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

constexpr int k_errors[] = {EIO, ENOSPC, EDQUOT, EMFILE, ENOMEM, ESTALE, EROFS, EACCES};

constexpr std::size_t k_kernel_size = 5000;

const Package& old_package() {
    static const Package package = package_of("old", 2, "shared", k_kernel_size);
    return package;
}

// Shares one object with the old package.
const Package& new_package() {
    static const Package package = [] {
        Package made = package_of("new", 2, "fresh", k_kernel_size);
        made.artifacts[1]->blobs.push_back(old_package().artifacts[1]->blobs[0]);
        return made;
    }();
    return package;
}

// The package, or a miss: with the bytes that were put, or none.
bool is_right_or_missing(store::Store& store, const Package& package) {
    const auto found = store.get(package.key);
    if (!found) return true;
    for (const store::Variant& variant : found->variants) {
        REQUIRE(variant.package.artifacts.size() == package.artifacts.size());
        for (std::size_t i = 0; i < package.artifacts[1]->blobs.size(); ++i) {
            const Result<Bytes> bytes = variant.package.artifacts[1]->blobs[i]->read();
            if (bytes) CHECK(*bytes == package.artifacts[1]->blobs[i]->read().value());
        }
    }
    return true;
}

// Nothing is damaged, what was there before is served, and a put and a get work.
void check_recovered(const Scratch& scratch) {
    const auto store = scratch.open();
    const auto report = store->check().value();
    for (const auto& problem : report.problems) FAIL_CHECK(problem.path, ": ", problem.error.what());
    check_served(*store, old_package());
    REQUIRE(is_right_or_missing(*store, new_package()));
    const auto put = store->put(new_package());
    REQUIRE_MESSAGE(put.has_value(), put.error().what());
    check_served(*store, new_package());
}

using Operation = std::function<bool(store::DiskStore&)>;  // whether it says that it has succeeded

bool put_new(store::DiskStore& store) { return store.put(new_package()).has_value(); }
bool get_old(store::DiskStore& store) { return is_right_or_missing(store, old_package()); }
bool collect_other(store::DiskStore& store) { return store.collect({.max_bytes = 24000}).has_value(); }

// A store with the old package, and one that was not used for longer.
void fill(const Scratch& scratch) {
    const auto store = scratch.open();
    REQUIRE(store->put(package_of("other", 3, "other", k_kernel_size)).has_value());
    for (const auto& path : scratch.files("")) {
        std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
    }
    REQUIRE(store->put(old_package()).has_value());
}

std::size_t count_calls(const Operation& operation, store::Durability durability) {
    const Scratch scratch;
    fill(scratch);
    FaultFs fs;
    const auto store = scratch.open({.durability = durability, .fs = &fs});
    CHECK(operation(*store));
    return fs.calls();
}

void fail_each_call(const Operation& operation, const Fault& pattern, store::Durability durability) {
    const std::size_t calls = count_calls(operation, durability);
    REQUIRE(calls > 10);
    for (std::size_t call = 1; call <= calls; ++call) {
        const Scratch scratch;
        fill(scratch);
        Fault fault = pattern;
        fault.at_call = call;
        FaultFs fs(fault);
        CAPTURE(call);
        CAPTURE(fault.error);
        store::DiskOptions options{.durability = durability, .min_free_bytes = 0, .fs = &fs};
        if (auto store = store::DiskStore::open(scratch.path, options)) {
            const bool succeeded = operation(**store);
            store->reset();
            if (succeeded) REQUIRE(is_right_or_missing(*scratch.open(), new_package()));
        }
        CHECK(fs.open_descriptors() == 0);
        check_recovered(scratch);
    }
}

void fail_in_all_ways(const Operation& operation, store::Durability durability) {
    std::cout << std::size(k_errors) + 2 << " ways to fail at each of " << count_calls(operation, durability) << " calls\n";
    for (const int error : k_errors) fail_each_call(operation, {.error = error}, durability);
    fail_each_call(operation, {.error = ENOSPC, .only_once = false}, durability);
    fail_each_call(operation, {.error = EIO, .only_once = false}, durability);
}

void exit_at_each_call(const Operation& operation, store::Durability durability) {
    const std::size_t calls = count_calls(operation, durability);
    std::cout << "a process that ends at each of " << calls << " calls\n";
    for (std::size_t call = 1; call <= calls; ++call) {
        const Scratch scratch;
        fill(scratch);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            FaultFs fs({.at_call = call, .exits = true});
            if (auto store = store::DiskStore::open(scratch.path, {.durability = durability, .min_free_bytes = 0, .fs = &fs})) {
                static_cast<void>(operation(**store));
            }
            ::_exit(0);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CAPTURE(call);
        REQUIRE(WIFEXITED(status));
        check_recovered(scratch);
    }
}

}  // namespace

TEST_CASE("whatever call of put fails, in whatever way, the store is sound and the next put works") {
    fail_in_all_ways(put_new, store::Durability::none);
}

TEST_CASE("a failed sync is not reported as success") {
    const std::size_t calls = count_calls(put_new, store::Durability::synced);
    std::size_t syncs = 0;
    for (std::size_t call = 1; call <= calls; ++call) {
        const Scratch scratch;
        fill(scratch);
        FaultFs fs({.at_call = call, .error = EIO});
        const store::DiskOptions options{.durability = store::Durability::synced, .min_free_bytes = 0, .fs = &fs};
        const auto store = store::DiskStore::open(scratch.path, options);
        if (!store) continue;
        const auto report = (*store)->put(new_package());
        if (fs.calls() < call || fs.name_of_call(call) != "sync") continue;
        ++syncs;
        CHECK_FALSE(report.has_value());
    }
    CHECK(syncs >= 6);
}

TEST_CASE("what collectors take away while a put makes room is tried again, and not what it fails of") {
    std::size_t stored = 0;
    for (std::size_t call = 1;; ++call) {
        CAPTURE(call);
        const Scratch scratch;
        fill(scratch);
        FaultFs fs({.at_call = call, .error = ENOENT});
        const store::DiskOptions options{.max_bytes = 4096, .min_free_bytes = 0, .grace = {}, .fs = &fs};
        const auto store = store::DiskStore::open(scratch.path, options);
        const auto report = store ? (*store)->put(new_package()) : Result<store::PutReport>(std::unexpected(store.error()));
        if (fs.calls() < call) break;
        if (fs.name_of_call(call) != "rename_at") continue;
        stored += report.has_value();
        CHECK_MESSAGE((report || report.error().code == ErrorCode::no_space), report.error().what());
    }
    CHECK(stored > 4);
}

TEST_CASE("whatever call of a durable put fails, the store is sound and the next put works") {
    fail_each_call(put_new, {.error = EIO}, store::Durability::verified);
}

TEST_CASE("whatever call of get fails, nothing wrong is returned and nothing is lost") {
    fail_in_all_ways(get_old, store::Durability::none);
}

TEST_CASE("whatever call of collect fails, what was not to be evicted is served") {
    fail_in_all_ways(collect_other, store::Durability::none);
}

TEST_CASE("short and interrupted calls change nothing") {
    const Scratch scratch;
    FaultFs fs({.interrupt = true, .transfer = 7});
    const auto store = scratch.open({.durability = store::Durability::verified, .fs = &fs});
    REQUIRE(store->put(new_package()).has_value());
    check_served(*store, new_package());
    CHECK(store->collect({.max_bytes = 0}).value().evicted == 1);
    CHECK(store->get(new_package().key).value().variants.empty());
}

TEST_CASE("a process that ends at any call of put, get or collect leaves a sound store") {
    exit_at_each_call(put_new, store::Durability::none);
    exit_at_each_call(get_old, store::Durability::none);
    exit_at_each_call(collect_other, store::Durability::none);
}

TEST_CASE("a process that ends at any call of the first put leaves a directory that the next put can use") {
    const auto count = [] {
        const Scratch scratch;
        FaultFs fs;
        REQUIRE(scratch.open({.fs = &fs})->put(old_package()).has_value());
        return fs.calls();
    };
    const std::size_t calls = count();
    for (std::size_t call = 1; call <= calls; ++call) {
        const Scratch scratch;
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            FaultFs fs({.at_call = call, .exits = true});
            if (auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 0, .fs = &fs})) {
                static_cast<void>((*store)->put(old_package()));
            }
            ::_exit(0);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(scratch.open()->put(old_package()).has_value());
        check_served(*scratch.open(), old_package());
    }
}
