// What a store costs: a lookup and a put, and a collection and a count, with up to 100,000 packages in it. Each package has one
// manifest of 4 KiB and one object of 8, as a small function has. The store lies below the current directory.
#include "support.hpp"

#include <coldframe/store/disk_store.hpp>

#include <benchmark/benchmark.h>

#include <filesystem>
#include <map>
#include <string>

namespace coldframe::bench {
namespace {

Bytes noise(std::int64_t number) {
    Bytes bytes(6000);
    std::uint64_t state = static_cast<std::uint64_t>(number) * 2 + 1;
    for (std::uint8_t& byte : bytes) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        byte = static_cast<std::uint8_t>(state >> 56U);
    }
    return bytes;
}

Package numbered(std::int64_t number) {
    CodeFields fields;
    fields.name = fields.qualname = "forward";
    auto variant = std::make_shared<GuardedCode>();
    variant->dynamo_code = std::make_shared<const CodeObject>(fields);
    variant->guards = sample_guards(5);
    auto entry = std::make_shared<CodeEntry>();
    entry->python_code = variant->dynamo_code;
    entry->guarded_codes.push_back(variant);
    auto artifact = std::make_shared<Artifact>();
    artifact->blobs.push_back(make_blob("kernel.so", noise(number)));
    Package package;
    package.key.module = "module";
    package.key.qualname = "function" + std::to_string(number);
    package.codes.push_back(entry);
    package.artifacts.push_back(artifact);
    return package;
}

// A store with so many packages, made once.
class Filled {
   public:
    explicit Filled(std::int64_t count) : path_("coldframe_bench_store_" + std::to_string(count)) {
        std::filesystem::remove_all(path_);
        store_ = take(
            store::DiskStore::open(path_, {.owner_check = archive::OwnerCheck::skip, .max_bytes = 0, .min_free_bytes = 0}));
        for (std::int64_t i = 0; i < count; ++i) take(store_->put(numbered(i)));
        take(store_->collect());
    }
    Filled(const Filled&) = delete;
    Filled& operator=(const Filled&) = delete;
    ~Filled() { std::filesystem::remove_all(path_); }

    [[nodiscard]] store::DiskStore& store() const { return *store_; }

    static store::DiskStore& of(std::int64_t count) {
        static std::map<std::int64_t, Filled> filled;
        return filled.try_emplace(count, count).first->second.store();
    }

   private:
    std::string path_;
    std::unique_ptr<store::DiskStore> store_;
};

void store_get(benchmark::State& state) {
    store::DiskStore& store = Filled::of(state.range(0));
    std::int64_t number = 0;
    for (auto _ : state) {
        const store::Found found = take(store.get(numbered(number).key));
        if (found.variants.size() != 1) state.SkipWithError("a package is missing");
        number = (number + 7919) % state.range(0);
    }
}

void store_miss(benchmark::State& state) {
    store::DiskStore& store = Filled::of(state.range(0));
    const PackageKey key{"module", "absent", {}, {}};
    for (auto _ : state) benchmark::DoNotOptimize(take(store.get(key)));
}

void store_put_again(benchmark::State& state) {
    store::DiskStore& store = Filled::of(state.range(0));
    const Package package = numbered(1);
    for (auto _ : state) benchmark::DoNotOptimize(take(store.put(package)));
}

void store_collect(benchmark::State& state) {
    store::DiskStore& store = Filled::of(state.range(0));
    for (auto _ : state) benchmark::DoNotOptimize(take(store.collect()));
}

void store_statistics(benchmark::State& state) {
    store::DiskStore& store = Filled::of(state.range(0));
    for (auto _ : state) benchmark::DoNotOptimize(take(store.statistics()));
}

constexpr std::int64_t k_few = 1000;
constexpr std::int64_t k_some = 10000;
constexpr std::int64_t k_many = 100000;

BENCHMARK(store_get)->Arg(k_few)->Arg(k_some)->Arg(k_many)->Unit(benchmark::kMicrosecond);
BENCHMARK(store_miss)->Arg(k_few)->Arg(k_some)->Arg(k_many)->Unit(benchmark::kMicrosecond);
BENCHMARK(store_put_again)->Arg(k_few)->Arg(k_many)->Unit(benchmark::kMicrosecond);
BENCHMARK(store_collect)->Arg(k_few)->Arg(k_some)->Arg(k_many)->Unit(benchmark::kMillisecond);
BENCHMARK(store_statistics)->Arg(k_few)->Arg(k_some)->Arg(k_many)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace coldframe::bench
