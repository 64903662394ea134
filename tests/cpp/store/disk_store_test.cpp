// What a store on disk does when nothing goes wrong.
#include <store/support.hpp>

#include <sys/stat.h>

#include <chrono>
#include <set>

using namespace coldframe;
using namespace coldframe::testing;
using store::Counter;

namespace {

std::uint64_t counter(store::Store& store, Counter which) { return store.statistics().value().counters[which]; }

void make_old(const std::string& path, std::chrono::seconds age) {
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - age);
}

}  // namespace

TEST_CASE("a package comes back from the store, field by field, in this process and in another") {
    const Scratch scratch;
    const auto store = scratch.open();
    for (const Package& package : {package_of("g", 3), full_package()}) {
        const auto report = store->put(package);
        REQUIRE(report.has_value());
        CHECK(report->added);
        CHECK(report->key == store::key_digest(package.key));
        check_served(*store, package);
        check_served(*scratch.open(), package);
    }
    CHECK(store->check().value().problems.empty());
    CHECK(scratch.files(store::k_staging).empty());
}

TEST_CASE("an absent key is a miss, and an absent store is an empty one that nothing but a put makes") {
    const Scratch scratch;
    const auto store = scratch.open();
    CHECK(store->get(tiny_package().key).value().variants.empty());
    CHECK(store->list().value().empty());
    CHECK(store->collect({}).value().before.bytes == 0);
    CHECK(store->check(store::Repair::no).value().problems.empty());
    CHECK(store->statistics().value().usage.bytes == 0);
    CHECK(store->remove({}, std::nullopt).value() == 0);
    CHECK(counter(*store, Counter::misses) == 1);
    CHECK_FALSE(std::filesystem::exists(scratch.path));
    REQUIRE(store->put(tiny_package()).has_value());
    CHECK(store->get(package_of("other", 0).key).value().variants.empty());
}

TEST_CASE("who only looks into an empty directory leaves it empty, so that it can become a store") {
    const Scratch scratch;
    REQUIRE(std::filesystem::create_directory(scratch.path));
    CHECK(scratch.open()->get(tiny_package().key).value().variants.empty());
    CHECK(std::filesystem::is_empty(scratch.path));
    CHECK(scratch.open()->put(tiny_package()).has_value());
}

TEST_CASE("variants of one key live side by side, the last used first, and one put twice is there once") {
    const Scratch scratch;
    const auto store = scratch.open();
    const Package first = package_of("f", 2, "one");
    const Package second = package_of("f", 2, "two");
    const auto first_report = store->put(first).value();
    REQUIRE(store->put(second).value().added);
    CHECK_FALSE(store->put(first).value().added);
    make_old(scratch.path + "/act/" + store::shard_name(first_report.key) + "/" + to_hex(first_report.key) + "/" +
                 store::manifest_name(first_report.id),
             std::chrono::minutes(5));
    const auto found = store->get(first.key).value();
    REQUIRE(found.variants.size() == 2);
    check_equal(found.variants[0].package, second);
    check_equal(found.variants[1].package, first);
    CHECK(found.variants[1].id == first_report.id);
    CHECK(store->remove(first_report.key, first_report.id).value() == 1);
    check_served(*store, second);
    CHECK(store->remove(first_report.key, std::nullopt).value() == 1);
    CHECK(store->get(first.key).value().variants.empty());
}

TEST_CASE("packages share the objects that are equal") {
    const Scratch scratch;
    const auto store = scratch.open();
    const auto first = store->put(package_of("f", 3)).value();
    const auto second = store->put(package_of("g", 3)).value();
    CHECK(scratch.objects().size() == 3);
    CHECK(first.bytes_written > 30000);
    CHECK(second.bytes_written < 5000);
}

TEST_CASE("files are read-only, directories are this user's, and the tree is marked as a cache") {
    const Scratch scratch;
    REQUIRE(scratch.open()->put(package_of("f", 2)).has_value());
    const auto mode = [](const std::string& path) {
        struct stat status{};
        REQUIRE(::lstat(path.c_str(), &status) == 0);
        return status.st_mode & 07777;
    };
    for (const auto& path : scratch.objects()) CHECK(mode(path) == 0444);
    for (const auto& path : scratch.manifests()) CHECK(mode(path) == 0444);
    CHECK(mode(scratch.path) == 0700);
    const Bytes format = load(scratch.path + "/FORMAT");
    CHECK(format == bytes_of("coldframe store 1\n"));
    const Bytes tag = load(scratch.path + "/CACHEDIR.TAG");
    CHECK(std::string(tag.begin(), tag.end()).starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
}

TEST_CASE("counters tell what happened, for all processes together, and are not counted twice") {
    const Scratch scratch;
    {
        const auto store = scratch.open();
        REQUIRE(store->put(package_of("f", 2)).has_value());
        REQUIRE(store->get(package_of("f", 2).key).value().variants.size() == 1);
        REQUIRE(store->get(package_of("g", 2).key).value().variants.empty());
    }
    const auto store = scratch.open();
    REQUIRE(store->get(package_of("f", 2).key).value().variants.size() == 1);
    for (int round = 0; round < 3; ++round) {
        CHECK(counter(*store, Counter::hits) == 2);
        CHECK(counter(*store, Counter::misses) == 1);
        CHECK(counter(*store, Counter::puts) == 1);
        CHECK(counter(*store, Counter::milliseconds_saved) == 3000);
        CHECK(counter(*store, Counter::bytes_written) > 20000);
        REQUIRE(store->collect({}).has_value());
        CHECK(scratch.files(store::k_reports).size() <= 3);
    }
}

TEST_CASE("a store opened for reading only writes nothing at all") {
    const Scratch scratch;
    REQUIRE(scratch.open()->put(package_of("f", 2)).has_value());
    for (const auto& path : scratch.manifests()) make_old(path, std::chrono::hours(100));
    const auto snapshot = [&] {
        std::vector<std::pair<std::string, std::filesystem::file_time_type>> files;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path)) {
            files.emplace_back(entry.path().string(), std::filesystem::last_write_time(entry.path()));
        }
        std::ranges::sort(files);
        return files;
    };
    Bytes damaged = load(scratch.objects()[0]);
    damaged[100] ^= 1;
    const std::string path = scratch.objects()[0];
    testing::store(path, damaged);
    const auto before = snapshot();
    {
        const auto store = scratch.open({.access = store::Access::read_only});
        const auto found = store->get(package_of("f", 2).key).value();
        REQUIRE(found.variants.size() == 1);
        bool read_all = true;
        for (const BlobPtr& blob : found.variants[0].package.artifacts[1]->blobs) read_all = read_all && blob->read();
        CHECK_FALSE(read_all);
        CHECK(store->list().value().size() == 1);
        CHECK(store->check(store::Repair::no).value().problems.size() == 2);  // the object, and the manifest that needs it
        CHECK(store->collect({.max_bytes = 0, .dry_run = true}).value().evicted == 1);
        CHECK(store->put(tiny_package()).error().code == ErrorCode::io);
        CHECK(store->remove({}, std::nullopt).error().code == ErrorCode::io);
        CHECK(store->collect({}).error().code == ErrorCode::io);
        CHECK(store->check(store::Repair::yes).error().code == ErrorCode::io);
        CHECK(store->statistics().value().usage.variants == 1);
    }
    CHECK(snapshot() == before);
}

TEST_CASE("what is listed says whose it is and how much it takes") {
    const Scratch scratch;
    const auto store = scratch.open();
    const auto report = store->put(package_of("f", 3)).value();
    const auto items = store->list().value();
    REQUIRE(items.size() == 1);
    CHECK(items[0].name == package_of("f", 3).key);
    CHECK(items[0].key == report.key);
    CHECK(items[0].id == report.id);
    CHECK(items[0].compile_seconds == 1.5);
    CHECK(items[0].size >= 3 * 12288);
}

TEST_CASE("every level of durability gives the same files") {
    for (const auto durability : {store::Durability::none, store::Durability::synced, store::Durability::verified}) {
        const Scratch scratch;
        const auto store = scratch.open({.durability = durability});
        for (const std::size_t kernels : {0u, 3u, 40u}) {
            const Package package = package_of("f" + std::to_string(kernels), kernels);
            REQUIRE(store->put(package).has_value());
            check_served(*store, package);
        }
        CHECK(scratch.objects().size() == 40);
        CHECK(store->check(store::Repair::no).value().problems.empty());
    }
}

TEST_CASE("trimming a key leaves the variants that were used last") {
    const Scratch scratch;
    const auto store = scratch.open();
    std::vector<Digest> ids;
    for (const char* seed : {"a", "b", "c", "d"}) {
        const auto report = store->put(package_of("f", 1, seed));
        REQUIRE(report);
        ids.push_back(report->id);
    }
    const Digest key = store::key_digest(package_of("f", 1));
    CHECK(store->trim(key, 4).value() == 0);
    CHECK(store->trim(key, 2).value() == 2);
    const auto left = store->get(key).value().variants;
    REQUIRE(left.size() == 2);
    for (const store::Variant& variant : left) CHECK((variant.id == ids[2] || variant.id == ids[3]));
    CHECK(store->trim(digest_of("none"), 1).value() == 0);
}

TEST_CASE("packages for calls of one structure have a key of their own") {
    const Scratch scratch;
    const auto store = scratch.open();
    Package package = package_of("f", 1);
    REQUIRE(store->put(package));
    const Digest structure = digest_of("a call");
    store::set_structure(package, structure);
    const auto report = store->put(package);
    REQUIRE(report);
    CHECK(report->key == store::key_digest(package.key, structure));
    CHECK(report->key != store::key_digest(package.key));
    CHECK(store->get(store::key_digest(package.key, structure)).value().variants.size() == 1);
    CHECK(store->get(package.key).value().variants.size() == 1);
    CHECK(store->check().value().problems.empty());
}

TEST_CASE("what is published takes the place of others, of as many as are not kept, and of none where it cannot be put") {
    const Scratch scratch;
    const auto store = scratch.open();
    const Digest structure = digest_of("a call");
    const Digest key = store::key_digest(package_of("f", 1).key, structure);
    const auto publish = [&](store::Store& to, const char* seed, std::vector<Digest> replaces,
                             std::optional<std::size_t> keep) {
        return to.publish(package_of("f", 1, seed), {structure, std::move(replaces), keep});
    };
    const auto ids = [&] {
        std::set<Digest> made;
        const auto found = store->get(key).value();
        for (const store::Variant& variant : found.variants) made.insert(variant.id);
        return made;
    };
    const Digest a = publish(*store, "a", {}, {}).value().id;
    const Digest b = publish(*store, "b", {}, {}).value().id;
    const Digest c = publish(*store, "c", {a}, {}).value().id;
    CHECK(ids() == std::set{b, c});
    CHECK(publish(*store, "c", {c, a}, {}).value().added == false);  // it does not replace itself
    CHECK(ids() == std::set{b, c});
    const auto full = store::DiskStore::open(scratch.path, {.min_free_bytes = ~std::uint64_t{0} / 2}).value();
    CHECK(publish(*full, "d", {b, c}, 1).error().code == ErrorCode::no_space);
    CHECK(ids() == std::set{b, c});
    const Digest e = publish(*store, "e", {}, 1).value().id;
    CHECK(ids() == std::set{e});
    CHECK(store->get(package_of("f", 1).key).value().variants.empty());  // nothing of it is for all calls
}

TEST_CASE("misses are noted for people, the last first") {
    const Scratch scratch;
    const auto store = scratch.open();
    CHECK(store->misses().value().empty());
    REQUIRE(store->note_miss({.function = "net.forward", .reasons = {"a guard\nof two lines", "another"}}));
    REQUIRE(store->note_miss({.function = "f", .reasons = {}, .counted_as = Counter::compiled_guard}));
    CHECK(counter(*store, Counter::compiled_guard) == 1);
    const std::vector<store::MissNote> misses = store->misses().value();
    REQUIRE(misses.size() == 2);
    CHECK(misses[0].function == "f");
    CHECK(misses[1].function == "net.forward");
    CHECK(misses[1].reasons == std::vector<std::string>{"a guard of two lines", "another"});
    CHECK(misses[0].when >= misses[1].when);
    REQUIRE(store->note_miss({.function = std::string(1 << 20, 'x'), .reasons = {std::string(1 << 20, 'y')}}));
    CHECK(store->misses().value().size() == 3);
    CHECK(store->check().value().problems.empty());
}
