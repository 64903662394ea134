// What encoding and decoding cost: values as recipes hold them, and a guard program of the size that a BERT gives.
#include "support.hpp"

#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/value_codec.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace coldframe::bench {
namespace {

constexpr int k_values = 1000;
constexpr int k_guards = 1000;  // an accessor and a check each

// A list of records, each with a string, a reference, a tuple of ints and a float.
Value sample_value() {
    List records;
    for (int i = 0; i < k_values; ++i) {
        Dict record;
        record.items.push_back({Value::str("name"), Value::str("buf" + std::to_string(i))});
        record.items.push_back({Value::str("dtype"), ImportRef{"torch", "float32"}});
        record.items.push_back({Value::str("size"), Tuple{{Value::integer(i), Value::integer(64), Value::integer(1024)}}});
        record.items.push_back({Value::str("scale"), Value::real(0.125 * i)});
        records.items.emplace_back(std::move(record));
    }
    return records;
}

void count(benchmark::State& state, std::size_t items, std::size_t bytes) {
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(items));
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void value_encode(benchmark::State& state) {
    const Value value = sample_value();
    const Bytes bytes = take(encode(value));
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(take(encode(value)));
    count(state, k_values, bytes.size());
}

void value_decode(benchmark::State& state) {
    const Bytes bytes = take(encode(sample_value()));
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(take(decode(bytes)));
    count(state, k_values, bytes.size());
}

void guards_encode(benchmark::State& state) {
    const GuardProgram program = sample_guards(k_guards);
    const Bytes bytes = take(encode_guards(program));
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(take(encode_guards(program)));
    count(state, program.ops().size(), bytes.size());
}

void guards_decode(benchmark::State& state) {
    const GuardProgram program = sample_guards(k_guards);
    const Bytes bytes = take(encode_guards(program));
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(take(decode_guards(bytes)));
    count(state, program.ops().size(), bytes.size());
}

BENCHMARK(value_encode)->Unit(benchmark::kMicrosecond);
BENCHMARK(value_decode)->Unit(benchmark::kMicrosecond);
BENCHMARK(guards_encode)->Unit(benchmark::kMicrosecond);
BENCHMARK(guards_decode)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace coldframe::bench
