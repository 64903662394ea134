// Eviction: what goes, what stays, and that no clock, no second collector and no reader is hurt.
#include <store/support.hpp>
#include <support/fault_fs.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <thread>

using namespace coldframe;
using namespace coldframe::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t k_year = 365 * 24 * 3600;

void set_age(const std::string& path, std::int64_t seconds) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const timespec times[2] = {{now.tv_sec - seconds, 0}, {now.tv_sec - seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

void set_all_ages(const Scratch& scratch, std::int64_t seconds) {
    for (const auto& path : scratch.files("")) set_age(path, seconds);
}

Package numbered(int number) { return package_of("f" + std::to_string(number), 2, "kernel" + std::to_string(number), 5000); }

std::string manifest_path(const Scratch& scratch, const store::PutReport& report) {
    return scratch.path + "/act/" + store::shard_name(report.key) + "/" + to_hex(report.key) + "/" +
           store::manifest_name(report.id);
}

std::vector<int> kept(store::Store& store, int count) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) {
        if (!store.get(numbered(i).key).value().variants.empty()) numbers.push_back(i);
    }
    return numbers;
}

// Ten packages, each used an hour after the one before it. Each takes 4 KiB and two objects of 8.
std::vector<store::PutReport> fill(const Scratch& scratch, store::Store& store) {
    std::vector<store::PutReport> reports;
    for (int i = 0; i < 10; ++i) reports.push_back(store.put(numbered(i)).value());
    set_all_ages(scratch, 100 * 3600);
    for (int i = 0; i < 10; ++i) set_age(manifest_path(scratch, reports[static_cast<std::size_t>(i)]), (50 - i) * 3600);
    return reports;
}

constexpr std::uint64_t k_size = 4096 + 2 * 8192;

// A disk of which the store's packages take what is free, and nothing else.
class SmallDisk final : public FaultFs {
   public:
    SmallDisk(const Scratch& scratch, std::uint64_t size) : scratch_(scratch), size_(size) {}
    int space(int, FileSpace& space) override {
        std::uint64_t used = 0;
        for (const char* folder : {"act", "obj"}) {
            for (const auto& path : scratch_.files(folder)) used += (std::filesystem::file_size(path) + 4095) / 4096 * 4096;
        }
        space.free = size_ - std::min(size_, used);
        return 0;
    }

   private:
    const Scratch& scratch_;
    std::uint64_t size_;
};

// A collector takes what lies under a name as soon as a writer has been told that the name is taken.
class TakingFs final : public FaultFs {
   public:
    int rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                  Replace replace) override {
        const int result = FaultFs::rename_at(from_directory, from, to_directory, to, replace);
        if (result == -EEXIST && taken++ == 0) CHECK(FaultFs::unlink_at(to_directory, to) == 0);
        return result;
    }

    int taken = 0;
};

}  // namespace

TEST_CASE("what was not used for longest goes first, with the objects that nothing else needs") {
    const Scratch scratch;
    const auto store = scratch.open();
    fill(scratch, *store);
    REQUIRE(store->get(numbered(0).key).value().variants.size() == 1);  // used just now
    const auto dry = store->collect({.max_bytes = 4 * k_size, .dry_run = true}).value();
    CHECK(dry.evicted == 6);
    CHECK(kept(*scratch.open({.access = store::Access::read_only}), 10).size() == 10);
    const auto report = store->collect({.max_bytes = 4 * k_size}).value();
    CHECK(report.before.variants == 10);
    CHECK(report.before.bytes == 10 * k_size);
    CHECK(report.evicted == 6);
    CHECK(report.swept == 12);
    CHECK(report.freed >= 6 * k_size);
    CHECK(kept(*store, 10) == std::vector{0, 7, 8, 9});
    CHECK(scratch.objects().size() == 8);
    CHECK(store->statistics().value().usage.bytes == 4 * k_size);
    CHECK(store->check().value().problems.empty());
}

TEST_CASE("what is collected between a put's finding it and its looking at it is put again") {
    const Scratch scratch;
    REQUIRE(scratch.open()->put(numbered(0)).has_value());
    TakingFs fs;
    const auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 0, .fs = &fs}).value();
    CHECK(store->put(numbered(0)).value().added);
    CHECK(fs.taken == 1);
    check_served(*store, numbered(0));
}

TEST_CASE("an object that another package needs stays") {
    const Scratch scratch;
    const auto store = scratch.open();
    const auto report = store->put(package_of("old", 2, "shared")).value();
    REQUIRE(store->put(package_of("new", 2, "shared")).has_value());
    set_all_ages(scratch, 3600);
    set_age(manifest_path(scratch, report), 7200);
    const auto collected = store->collect({.max_bytes = 30000}).value();
    CHECK(collected.evicted == 1);
    CHECK(collected.swept == 0);
    check_served(*store, package_of("new", 2, "shared"));
}

TEST_CASE("a put over the limit makes room for itself and more, and the limit holds") {
    const Scratch scratch;
    const auto store = scratch.open({.max_bytes = 10 * k_size, .grace = 0s});
    for (int i = 0; i < 40; ++i) {
        REQUIRE(store->put(numbered(i)).has_value());
        CHECK(store->statistics().value().usage.bytes <= 11 * k_size);
        check_served(*store, numbered(i));
    }
    CHECK(store->statistics().value().counters[store::Counter::evicted] >= 29);
}

TEST_CASE("a store that cannot make room refuses puts, and goes on serving") {
    const Scratch scratch;
    const auto store = scratch.open({.max_bytes = 4 * k_size, .grace = 1h});
    Result<store::PutReport> last = store::PutReport{};
    for (int i = 0; i < 12 && last; ++i) last = store->put(numbered(i));
    REQUIRE_FALSE(last.has_value());
    CHECK(last.error().code == ErrorCode::no_space);
    CHECK(store->statistics().value().usage.bytes <= 6 * k_size);
    CHECK(store->collect({}).value().pending_bytes > 0);
    CHECK_FALSE(kept(*store, 12).empty());
}

TEST_CASE("too little free space on the disk refuses a put") {
    const Scratch scratch;
    REQUIRE(scratch.open()->put(numbered(0)).has_value());
    const auto greedy = store::DiskStore::open(scratch.path, {.min_free_bytes = ~std::uint64_t{0} / 2}).value();
    CHECK(greedy->put(numbered(1)).error().code == ErrorCode::no_space);
}

TEST_CASE("where an empty store would not leave enough free either, a put that fails evicts nothing") {
    const Scratch scratch;
    const auto filling = scratch.open();
    fill(scratch, *filling);
    SmallDisk disk(scratch, 20 * k_size);
    const auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 30 * k_size, .fs = &disk}).value();
    CHECK(store->put(numbered(10)).error().code == ErrorCode::no_space);
    CHECK(store->collect({}).value().evicted == 0);
    CHECK(kept(*filling, 11).size() == 10);
}

TEST_CASE("on a disk that is nearly full a put evicts what was not used for longest, and no more than it must") {
    const Scratch scratch;
    const auto filling = scratch.open();
    fill(scratch, *filling);
    SmallDisk disk(scratch, 20 * k_size);
    const auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 12 * k_size, .fs = &disk}).value();
    CHECK(store->put(numbered(10)).has_value());
    CHECK(kept(*filling, 11) == std::vector<int>{2, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("what would not be free at once after an eviction makes no room on the disk") {
    const Scratch scratch;
    const auto filling = scratch.open();
    for (int i = 0; i < 10; ++i) REQUIRE(filling->put(numbered(i)).has_value());
    SmallDisk disk(scratch, 20 * k_size);
    const auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 15 * k_size, .fs = &disk}).value();
    CHECK(store->put(numbered(10)).error().code == ErrorCode::no_space);
    CHECK(kept(*filling, 10).size() == 10);
    set_all_ages(scratch, 3600);
    CHECK(store->put(numbered(10)).has_value());
    CHECK(kept(*filling, 11).size() == 6);
}

TEST_CASE("objects that no manifest names yet, and files that are being written, are left alone until they are old") {
    const Scratch scratch;
    const auto store = scratch.open();
    REQUIRE(store->put(numbered(0)).has_value());
    std::filesystem::remove(scratch.manifests().at(0));
    std::filesystem::create_directories(scratch.path + "/tmp");
    testing::store(scratch.path + "/tmp/staged", bytes_of("half"));
    CHECK(store->collect({.max_bytes = 0}).value().pending_bytes == 2 * 8192);
    CHECK(scratch.objects().size() == 2);
    set_age(scratch.path + "/tmp/staged", 1800);
    set_all_ages(scratch, 1800);
    CHECK(store->collect({}).value().swept == 2);
    CHECK(scratch.objects().empty());
    CHECK(scratch.files("tmp").size() == 1);
    set_age(scratch.path + "/tmp/staged", 4000);
    REQUIRE(store->collect({}).has_value());
    CHECK(scratch.files("tmp").empty());
}

TEST_CASE("a collector that ended in the middle is made good by the next") {
    const Scratch scratch;
    const auto store = scratch.open();
    REQUIRE(store->put(numbered(0)).has_value());
    const std::filesystem::path object = scratch.objects().at(0);
    std::filesystem::create_directory(scratch.path + "/trash");
    std::filesystem::permissions(scratch.path + "/trash", std::filesystem::perms(0700));
    std::filesystem::rename(object, scratch.path + "/trash/" + object.filename().string() + ".host-1-00");
    CHECK(store->get(numbered(0).key).value().variants.empty());
    set_all_ages(scratch, 7200);
    REQUIRE(store->collect({}).has_value());
    check_served(*store, numbered(0));
    CHECK(scratch.files("trash").empty());
}

TEST_CASE("no clock confuses the collector: ages from ten years ago to ten years ahead") {
    for (const std::int64_t offset : {-10 * k_year, -k_year, std::int64_t{-86400}, std::int64_t{86400}, k_year, 10 * k_year}) {
        CAPTURE(offset);
        const Scratch scratch;
        const auto store = scratch.open();
        const auto reports = fill(scratch, *store);
        // Written by a host whose clock is wrong: three of the packages, and everything of an unfinished put.
        for (const std::size_t i : {2u, 5u, 8u}) set_age(manifest_path(scratch, reports[i]), offset);
        const auto orphan = store->put(numbered(20)).value();
        for (const auto& path : scratch.objects()) set_age(path, offset);
        std::filesystem::remove(manifest_path(scratch, orphan));
        const auto first = store->collect({.max_bytes = 5 * k_size}).value();
        CHECK(first.evicted == 5);
        const std::vector<int> left = kept(*store, 10);
        CHECK(left.size() == 5);
        for (const int number : left) check_served(*store, numbered(number));
        // What seemed to come from the future has the present's time now, so that it grows old like the rest.
        set_all_ages(scratch, 7200);
        REQUIRE(store->collect({}).has_value());
        CHECK(scratch.objects().size() == 10);
        CHECK(store->check().value().problems.empty());
    }
}

TEST_CASE("two collectors at once, and a reader during both, do each other no harm") {
    const Scratch scratch;
    const auto store = scratch.open({.grace = 0s});
    for (int round = 0; round < 5; ++round) {
        fill(scratch, *store);
        const auto found = store->get(numbered(1).key).value();
        REQUIRE(found.variants.size() == 1);
        std::atomic<int> failures = 0;
        const auto collect = [&] {
            // Through another store object: as another process would.
            const auto other = scratch.open({.grace = 0s});
            for (int i = 9; i >= 0; --i) {
                if (!other->collect({.max_bytes = static_cast<std::uint64_t>(i) * k_size})) ++failures;
            }
        };
        std::thread first(collect);
        std::thread second(collect);
        for (int i = 0; i < 200; ++i) {
            const auto seen = store->get(numbered(i % 10).key);
            if (!seen) {
                ++failures;
                continue;
            }
            for (const auto& refusal : seen->refusals) failures += refusal.error.code != ErrorCode::not_found;
        }
        first.join();
        second.join();
        CHECK(failures == 0);
        CHECK(kept(*store, 10).empty());
        // A package that was looked up before is whole, though everything of it is gone.
        for (const BlobPtr& blob : found.variants[0].package.artifacts[1]->blobs) CHECK(blob->read().has_value());
        CHECK(scratch.objects().empty());
    }
}

TEST_CASE("a time of use is written at most once an hour, whatever this host's clock says") {
    const Scratch scratch;
    const auto store = scratch.open();
    const std::string path = manifest_path(scratch, store->put(numbered(0)).value());
    for (const std::int64_t age : {std::int64_t{1800}, std::int64_t{-1800}}) {
        set_age(path, age);
        const auto before = std::filesystem::last_write_time(path);
        REQUIRE(store->get(numbered(0).key).has_value());
        CHECK(std::filesystem::last_write_time(path) == before);
    }
    for (const std::int64_t age : {std::int64_t{7200}, -10 * k_year, 10 * k_year}) {
        set_age(path, age);
        REQUIRE(store->get(numbered(0).key).has_value());
        CHECK(std::filesystem::file_time_type::clock::now() - std::filesystem::last_write_time(path) < 10min);
    }
}
