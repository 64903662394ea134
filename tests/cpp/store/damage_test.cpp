// No damage to a store goes unnoticed, and all of it heals: a miss with a reason, the damaged file out of the way, and the next
// put brings it back.
#include <store/support.hpp>

#include <iostream>
#include <random>

using namespace coldframe;
using namespace coldframe::testing;
using store::Counter;

namespace {

void change(const std::string& path, const Bytes& bytes) {
    std::filesystem::permissions(path, std::filesystem::perms(0644));
    testing::store(path, bytes);
    std::filesystem::permissions(path, std::filesystem::perms(0444));
}

// Reads every blob of every variant; how many there were, or the first error.
Result<std::size_t> read_everything(store::Store& store, const PackageKey& key) {
    const auto found = store.get(key);
    if (!found) return std::unexpected(found.error());
    for (const store::Variant& variant : found->variants) {
        for (const ArtifactPtr& artifact : variant.package.artifacts) {
            for (const BlobPtr& blob : artifact->blobs) {
                if (Result<Bytes> bytes = blob->read(); !bytes) return std::unexpected(bytes.error());
            }
        }
    }
    if (!found->refusals.empty()) return std::unexpected(found->refusals[0].error);
    return found->variants.size();
}

struct Damaged {
    Scratch scratch;
    Package package = package_of("f", 2, "kernel", 5000);
    std::unique_ptr<store::DiskStore> store = scratch.open();

    Damaged() { REQUIRE(store->put(package).has_value()); }

    void check_miss_and_heal(const std::string& path, ErrorCode code = ErrorCode::corrupt) {
        const Result<std::size_t> read = read_everything(*store, package.key);
        REQUIRE_FALSE(read.has_value());
        REQUIRE(read.error().code == code);
        REQUIRE_FALSE(read.error().message.empty());
        REQUIRE_FALSE(std::filesystem::exists(std::filesystem::symlink_status(path)));
        REQUIRE(store->put(package).has_value());
        REQUIRE(read_everything(*store, package.key).value() == 1);
    }
    void clear_quarantine() const { std::filesystem::remove_all(scratch.path + "/bad"); }
};

}  // namespace

TEST_CASE("every flipped bit of a manifest is a miss with a reason, is quarantined, and heals") {
    Damaged damaged;
    const std::string path = damaged.scratch.manifests().at(0);
    const Bytes sound = load(path);
    for (std::size_t i = 0; i < sound.size(); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes bytes = sound;
            bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1u << bit));
            change(path, bytes);
            damaged.check_miss_and_heal(path);
        }
        damaged.clear_quarantine();
    }
    CHECK(damaged.store->statistics().value().counters[Counter::quarantined] == 8 * sound.size());
    CHECK(damaged.store->statistics().value().counters[Counter::refused_corrupt] == 8 * sound.size());
}

TEST_CASE("every truncation of a manifest is a miss with a reason, and heals") {
    Damaged damaged;
    const std::string path = damaged.scratch.manifests().at(0);
    const Bytes sound = load(path);
    for (std::size_t length = 0; length < sound.size(); ++length) {
        change(path, Bytes(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(length)));
        damaged.check_miss_and_heal(path);
    }
}

TEST_CASE("random flipped bits of objects are found when they are read, quarantined, and heal") {
    Damaged damaged;
    std::mt19937 random(1);
    const int rounds = repetitions("COLDFRAME_FLIPS", 4000);
    std::cout << rounds << " bits of objects flipped\n";
    for (int round = 0; round < rounds; ++round) {
        const std::string path = damaged.scratch.objects().at(round % 2);
        Bytes bytes = load(path);
        bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1u << (random() % 8));
        change(path, bytes);
        damaged.check_miss_and_heal(path);
        if (round % 100 == 0) damaged.clear_quarantine();
    }
}

TEST_CASE("objects that were cut, extended, emptied, filled with zeros or swapped are found and heal") {
    Damaged damaged;
    const auto objects = damaged.scratch.objects();
    REQUIRE(objects.size() == 2);
    const Bytes sound = load(objects[0]);
    std::vector<Bytes> broken{Bytes(), Bytes(sound.size(), 0), load(objects[1])};
    for (const std::size_t size : {std::size_t{1}, std::size_t{4095}, std::size_t{4096}, sound.size() - 1, sound.size() + 1}) {
        broken.push_back(sound);
        broken.back().resize(size);
    }
    for (const Bytes& bytes : broken) {
        change(objects[0], bytes);
        damaged.check_miss_and_heal(objects[0]);
    }
    std::filesystem::remove(objects[0]);
    damaged.check_miss_and_heal(damaged.scratch.path + "/absent", ErrorCode::not_found);
}

TEST_CASE("a put heals a damaged object that nobody has read") {
    Damaged damaged;
    const std::string path = damaged.scratch.objects().at(0);
    Bytes bytes = load(path);
    bytes[9] ^= 4;
    change(path, bytes);
    REQUIRE(damaged.store->put(damaged.package).has_value());
    CHECK(read_everything(*damaged.store, damaged.package.key).value() == 1);
}

TEST_CASE("a manifest moved to another key is refused, and two swapped ones are") {
    Damaged damaged;
    const Package other = package_of("g", 1, "other", 5000);
    const auto report = damaged.store->put(other).value();
    const auto manifests = damaged.scratch.manifests();
    REQUIRE(manifests.size() == 2);
    const auto other_path = std::ranges::find_if(
        manifests, [&](const std::string& path) { return path.find(to_hex(report.key)) != std::string::npos; });
    const auto own_path = std::ranges::find_if(manifests, [&](const std::string& path) { return path != *other_path; });
    const std::filesystem::path own_directory = std::filesystem::path(*own_path).parent_path();
    std::filesystem::copy_file(*other_path, own_directory / store::manifest_name(report.id));
    const auto found = damaged.store->get(damaged.package.key).value();
    REQUIRE(found.variants.size() == 1);
    check_equal(found.variants[0].package, damaged.package);
    REQUIRE(found.refusals.size() == 1);
    CHECK(found.refusals[0].error.message.ends_with("belongs to another key"));
    const Bytes own = load(*own_path);
    change(*own_path, load(*other_path));
    change(*other_path, own);
    CHECK(damaged.store->get(damaged.package.key).value().variants.empty());
    CHECK(damaged.store->get(other.key).value().variants.empty());
}

TEST_CASE("check finds all damage, and repairing moves it away so that puts heal") {
    Damaged damaged;
    REQUIRE(damaged.store->put(package_of("g", 1, "other", 5000)).has_value());
    Bytes object = load(damaged.scratch.objects().at(0));
    object[0] ^= 1;
    change(damaged.scratch.objects().at(0), object);
    testing::store(damaged.scratch.path + "/FORMAT", bytes_of("coldframe stoRe 1\n"));
    testing::store(damaged.scratch.path + "/obj/stray", bytes_of("stray"));
    CHECK(damaged.store->put(damaged.package).error().code == ErrorCode::corrupt);
    CHECK(damaged.store->check().value().problems.size() == 4);  // and the manifest that needs the object
    const auto repaired = damaged.store->check(store::Repair::yes).value();
    CHECK(repaired.problems.size() == 4);
    CHECK(repaired.repaired == 4);
    CHECK(damaged.store->check().value().problems.empty());
    REQUIRE(damaged.store->put(damaged.package).has_value());
    REQUIRE(damaged.store->put(package_of("g", 1, "other", 5000)).has_value());
    CHECK(read_everything(*damaged.store, damaged.package.key).value() == 1);
    CHECK(damaged.store->check().value().usage.variants == 2);
}

TEST_CASE("a newer store and a newer manifest are left alone, with the reason") {
    Damaged damaged;
    testing::store(damaged.scratch.path + "/FORMAT", bytes_of("coldframe store 2\n"));
    CHECK(store::DiskStore::open(damaged.scratch.path).error().code == ErrorCode::unsupported);
    CHECK(damaged.store->put(damaged.package).error().code == ErrorCode::unsupported);
    CHECK(damaged.store->collect({.max_bytes = 0}).error().code == ErrorCode::unsupported);
    CHECK(damaged.scratch.manifests().size() == 1);
}
