// What the container costs: a package of the size that a BERT gives (2,000 guard ops, 32 kernels of 64 KiB) is written,
// opened and verified, and bytes are digested.
#include "support.hpp"

#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>
#include <coldframe/util/digest.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>

namespace coldframe::bench {
namespace {

constexpr int k_guards = 1000;  // an accessor and a check each
constexpr int k_kernels = 32;
constexpr std::size_t k_kernel_size = 64UL << 10U;
const std::string k_path = "coldframe_bench.cfp";

Bytes kernel(std::uint32_t seed) {
    std::mt19937 random(seed);
    Bytes bytes(k_kernel_size);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() & 0x3FU);
    return bytes;
}

Package sample() {
    CodeFields fields;
    fields.name = fields.qualname = "forward";
    const auto code = std::make_shared<const CodeObject>(fields);

    auto variant = std::make_shared<GuardedCode>();
    variant->dynamo_code = code;
    variant->guards = sample_guards(k_guards);
    auto entry = std::make_shared<CodeEntry>();
    entry->python_code = code;
    entry->module = "model";
    entry->guarded_codes.push_back(variant);

    Package package;
    package.key = {.module = "model", .qualname = "forward", .code = {}, .options = {}};
    package.codes.push_back(entry);
    for (int i = 0; i < k_kernels; ++i) {
        const std::string name = "kernel" + std::to_string(i);
        auto artifact = std::make_shared<Artifact>();
        artifact->backend_id = name;
        artifact->kind = "inductor_native";
        artifact->blobs.push_back(make_blob(name + ".so", kernel(static_cast<std::uint32_t>(i))));
        entry->backend_ids.push_back(name);
        variant->backend_ids.push_back(name);
        package.artifacts.push_back(artifact);
    }
    return package;
}

void count_bytes(benchmark::State& state, std::uint64_t bytes) {
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(bytes));
}

void sha256_64_kib(benchmark::State& state) {
    const Bytes bytes = kernel(0);
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(sha256(bytes));
    count_bytes(state, bytes.size());
}

void archive_write(benchmark::State& state) {
    const Package package = sample();
    std::uint64_t size = 0;
    for ([[maybe_unused]] auto _ : state) size = take(archive::write(package, k_path)).size;
    count_bytes(state, size);
    std::remove(k_path.c_str());
}

void archive_open(benchmark::State& state) {
    const std::uint64_t size = take(archive::write(sample(), k_path)).size;
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(take(archive::open(k_path)));
    count_bytes(state, size);
    std::remove(k_path.c_str());
}

void archive_verify(benchmark::State& state) {
    const std::uint64_t size = take(archive::write(sample(), k_path)).size;
    for ([[maybe_unused]] auto _ : state) {
        if (!archive::verify(k_path)) state.SkipWithError("the package is not intact");
    }
    count_bytes(state, size);
    std::remove(k_path.c_str());
}

BENCHMARK(sha256_64_kib)->Unit(benchmark::kMicrosecond);
BENCHMARK(archive_write)->Unit(benchmark::kMillisecond);
BENCHMARK(archive_open)->Unit(benchmark::kMillisecond);
BENCHMARK(archive_verify)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace coldframe::bench
