// Power losses: whatever part of the unsynced writes the disk has kept, in whatever order, nothing wrong is served, what was
// put durably is served, and the store heals.
#include <store/support.hpp>
#include <support/simulated_fs.hpp>

#include <iostream>
#include <random>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

int state_count() { return repetitions("COLDFRAME_POWER_STATES", 2000); }

std::vector<Package> packages() {
    std::vector<Package> made;
    for (int i = 0; i < 4; ++i) {
        made.push_back(package_of("f" + std::to_string(i / 2), 1, "kernel" + std::to_string(i / 3), 4200));
        made.back().created = i;
    }
    return made;
}

struct Recorded {
    std::vector<Package> put = packages();
    std::vector<store::PutReport> reports;
    std::vector<std::size_t> moments;  // when each put had succeeded
    SimulatedFs fs;

    explicit Recorded(store::Durability durability) {
        const auto store = open(fs, durability);
        for (const Package& package : put) {
            reports.push_back(store->put(package).value());
            moments.push_back(fs.moment());
            REQUIRE(store->get(package.key).has_value());
        }
    }

    static std::unique_ptr<store::DiskStore> open(SimulatedFs& fs, store::Durability durability = store::Durability::none) {
        const store::DiskOptions options{.durability = durability, .owner_check = archive::OwnerCheck::skip, .fs = &fs};
        return store::DiskStore::open("/caches/store", options).value();
    }
};

bool is_intact(const store::Variant& variant, const Package& expected) {
    const auto bytes = variant.package.artifacts.at(1)->blobs.at(0)->read();
    if (!bytes) {
        CHECK(bytes.error().code != ErrorCode::internal);
        return false;
    }
    CHECK(*bytes == expected.artifacts[1]->blobs[0]->read().value());
    CHECK(variant.package.created == expected.created);
    return true;
}

// Which of the packages that were put are served, each checked to be what it was.
std::vector<bool> served(store::Store& store, const Recorded& recorded) {
    std::vector<bool> intact(recorded.put.size(), false);
    for (std::size_t i = 0; i < recorded.put.size(); ++i) {
        const auto found = store.get(recorded.put[i].key);
        if (!found) continue;
        for (const store::Variant& variant : found->variants) {
            const auto id = std::ranges::find(recorded.reports, variant.id, &store::PutReport::id);
            REQUIRE(id != recorded.reports.end());
            if (variant.id == recorded.reports[i].id) intact[i] = is_intact(variant, recorded.put[i]);
        }
    }
    return intact;
}

void lose_power(store::Durability durability, int states) {
    const Recorded recorded(durability);
    std::mt19937 random(7);
    int losses = 0;
    for (int state = 0; state < states; ++state) {
        const std::size_t moment = random() % (recorded.fs.moment() + 1);
        SimulatedFs fs = recorded.fs.crash(random, moment);
        CAPTURE(state);
        CAPTURE(moment);
        const auto store = Recorded::open(fs);
        const std::vector<bool> intact = served(*store, recorded);
        for (std::size_t i = 0; i < intact.size(); ++i) {
            if (!intact[i] && moment >= recorded.moments[i]) ++losses;
            if (durability != store::Durability::none && moment >= recorded.moments[i]) REQUIRE(intact[i]);
        }
        REQUIRE(store->check(store::Repair::yes).has_value());
        for (const Package& package : recorded.put) {
            const auto report = store->put(package);
            REQUIRE_MESSAGE(report.has_value(), report.error().what());
        }
        REQUIRE(std::ranges::all_of(served(*store, recorded), [](bool all) { return all; }));
        const auto check = store->check().value();
        for (const auto& problem : check.problems) FAIL_CHECK(problem.path, ": ", problem.error.what());
    }
    std::cout << states << " power losses: nothing wrong served, " << losses << " packages that were put were misses\n";
    if (durability == store::Durability::none) CHECK(losses > 0);  // the simulation does lose something
}

}  // namespace

TEST_CASE("after a power loss nothing wrong is served, and the store heals") {
    lose_power(store::Durability::none, state_count() / 2);
}

TEST_CASE("what was put durably is served after a power loss") { lose_power(store::Durability::synced, state_count() / 2); }
