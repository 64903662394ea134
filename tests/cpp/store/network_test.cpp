// A store on a file server, used by several hosts that see each other's changes late, lose replies and get every lock: nothing
// wrong is served, nothing of another's is taken away, and the store is sound afterwards.
#include <store/support.hpp>
#include <support/network_fs.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

using namespace std::chrono_literals;

constexpr unsigned k_hosts = 4;
constexpr std::size_t k_kinds = 5;  // put, get, collect, join, check

// Of each kind; more of them with COLDFRAME_NETWORK_OPERATIONS.
unsigned operation_count() {
    const char* count = std::getenv("COLDFRAME_NETWORK_OPERATIONS");
    return count == nullptr ? 500 : static_cast<unsigned>(std::atoi(count));
}

const std::vector<Package>& packages() {
    static const std::vector<Package> made = [] {
        std::vector<Package> all;
        for (int i = 0; i < 8; ++i) {
            all.push_back(package_of("f" + std::to_string(i), 2, "kernel" + std::to_string(i / 2 * 2), 5000));
            all.back().created = i;
        }
        return all;
    }();
    return made;
}

// What a file server may bring about, and nothing else.
bool may_happen(const Error& error) { return error.code == ErrorCode::io || error.code == ErrorCode::not_found; }

class Host {
   public:
    Host(const std::string& path, const NetworkFaults& faults) : fs_(faults), random_(faults.seed), store_(open(path, fs_)) {}

    void run(unsigned operations) {
        for (unsigned i = 0; i < operations; ++i) {
            const auto kind = static_cast<std::size_t>(random_() % k_kinds);
            ++done[kind];
            if (!operate(kind)) ++failed[kind];
        }
    }

    [[nodiscard]] std::size_t lies() const { return fs_.lies(); }
    std::size_t done[k_kinds] = {};
    std::size_t failed[k_kinds] = {};  // as they may
    std::vector<std::string> wrong;

   private:
    static std::unique_ptr<store::DiskStore> open(const std::string& path, Fs& fs) {
        for (int i = 0; i < 100; ++i) {
            auto opened = store::DiskStore::open(path, {.max_bytes = 60000, .min_free_bytes = 0, .grace = 0s, .fs = &fs});
            if (opened) return std::move(*opened);
        }
        FAIL("the store cannot be opened");
        return nullptr;
    }

    const Package& any() { return packages()[random_() % packages().size()]; }

    bool accept(const char* what, const Error& error) {
        if (!may_happen(error)) wrong.push_back(std::string(what) + ": " + error.what());
        return false;
    }

    bool operate(std::size_t kind) {
        switch (kind) {
            case 0: return put(any());
            case 1: return get(any());
            case 2: return collect();
            case 3: return join(any());
            default: return check();
        }
    }

    bool put(const Package& package) {
        const auto report = store_->put(package);
        if (!report && report.error().code == ErrorCode::no_space) return false;  // the others write, and the limit is low
        return report.has_value() || accept("put", report.error());
    }

    bool get(const Package& package) {
        const auto found = store_->get(package.key);
        if (!found) return accept("get", found.error());
        for (const store::Refusal& refusal : found->refusals) accept("a variant", refusal.error);
        for (const store::Variant& variant : found->variants) {
            const auto& blobs = variant.package.artifacts.at(1)->blobs;
            if (blobs.size() != 2 || variant.package.created != package.created) wrong.emplace_back("another package");
            for (std::size_t i = 0; i < blobs.size(); ++i) {
                const Result<Bytes> bytes = blobs[i]->read();
                if (!bytes) accept("a blob", bytes.error());
                if (bytes && *bytes != package.artifacts[1]->blobs[i]->read().value()) wrong.emplace_back("wrong bytes");
            }
        }
        return true;
    }

    bool collect() {
        const auto report = store_->collect({.max_bytes = 30000});
        return report.has_value() || accept("collect", report.error());
    }

    bool join(const Package& package) {
        const store::Joined joined = store_->join(store::key_digest(package), {.wait = 20ms, .stalled = 5ms});
        return joined.role == store::Role::served ? get(package) : put(package);
    }

    bool check() {
        const auto report = store_->check();
        if (!report) return accept("check", report.error());
        for (const store::Problem& problem : report->problems) accept("a problem", problem.error);
        return true;
    }

    NetworkFs fs_;
    std::mt19937 random_;
    std::unique_ptr<store::DiskStore> store_;
};

// What nobody but its owner may touch.
std::vector<std::string> strangers(const Scratch& scratch) {
    std::vector<std::string> paths;
    for (const char* folder : {"", "obj", "act", "trash", "stat", "tmp"}) {
        paths.push_back(scratch.path + "/" + folder + "/.nfs00000000deadbeef00000001");
    }
    return paths;
}

}  // namespace

TEST_CASE("hosts that share a store over a network file system see nothing wrong, and leave a sound store") {
    const Scratch scratch;
    REQUIRE(scratch.open()->put(packages()[0]).has_value());
    static_cast<void>(scratch.open()->collect());
    for (const std::string& path : strangers(scratch)) {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        coldframe::testing::store(path, noise("held open by a host", 100));
        std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - 48h);
    }
    {
        std::vector<std::unique_ptr<Host>> hosts;
        for (unsigned i = 0; i < k_hosts; ++i) {
            const NetworkFaults faults{.seed = i + 1, .can_rename_without_replacing = i == 0};
            hosts.push_back(std::make_unique<Host>(scratch.path, faults));
        }
        const auto operations = static_cast<unsigned>(operation_count() * k_kinds / k_hosts) + 1;
        std::vector<std::jthread> threads;
        for (const auto& host : hosts) threads.emplace_back([&] { host->run(operations); });
        threads.clear();
        for (std::size_t kind = 0; kind < k_kinds; ++kind) {
            std::size_t done = 0, failed = 0;
            for (const auto& host : hosts) done += host->done[kind], failed += host->failed[kind];
            CAPTURE(kind);
            CHECK(failed * 4 < done);
            constexpr const char* k_names[k_kinds] = {"put", "get", "collect", "join", "check"};
            std::cout << k_names[kind] << ": " << done << ", of which " << failed << " failed; ";
        }
        std::size_t lies = 0;
        for (const auto& host : hosts) {
            lies += host->lies();
            for (const std::string& wrong : host->wrong) FAIL_CHECK(wrong);
        }
        CHECK(lies > operation_count());
        std::cout << lies << " lies of the file system\n";
    }
    // Nothing sound was taken for damaged.
    CHECK(scratch.files("bad").empty());
    for (const std::string& path : strangers(scratch)) CHECK_MESSAGE(std::filesystem::exists(path), path);
    const auto store = scratch.open();
    for (const Package& package : packages()) REQUIRE(store->put(package).has_value());
    for (const Package& package : packages()) check_served(*store, package);
    const auto report = store->check().value();
    for (const auto& problem : report.problems) FAIL_CHECK(problem.path, ": ", problem.error.what());
    CHECK(report.usage.variants == packages().size());
}

TEST_CASE("a host that has looked for a store in vain can write it as soon as another has made it") {
    for (unsigned round = 0; round < 50; ++round) {
        const Scratch scratch;
        NetworkFs first({.seed = round, .stale = 0, .lost_reply = 0}),
            second({.seed = round + 100, .stale = 0, .lost_reply = 0});
        std::filesystem::create_directory(scratch.path);
        std::filesystem::permissions(scratch.path, std::filesystem::perms::owner_all);
        const auto early = scratch.open({.fs = &first});  // asks for FORMAT: for a while it knows that there is none
        REQUIRE(scratch.open({.fs = &second})->put(packages()[0]).has_value());
        const auto report = early->put(packages()[1]);
        REQUIRE_MESSAGE(report.has_value(), report.error().what());
        check_served(*scratch.open(), packages()[0]);
        check_served(*scratch.open(), packages()[1]);
    }
}
