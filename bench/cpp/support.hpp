// What the benchmarks share: taking a result, and a guard program.
#pragma once

#include <coldframe/model/guard_program.hpp>
#include <coldframe/util/error.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace coldframe::bench {

template <typename T>
T take(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what());
    return std::move(*result);
}

// `pairs` accessors of the root, each with a check of what it yields.
inline GuardProgram sample_guards(int pairs) {
    GuardProgram program;
    for (int i = 0; i < pairs; ++i) {
        const std::string source = "L['self'].layer[" + std::to_string(i) + "]";
        const NodeId node = *take(program.add(GuardKind::getattr, {0}, {Value::str("layer" + std::to_string(i))}, source));
        take(program.add(GuardKind::equals_match, {node}, {Value::integer(i)}, source, {source + " == " + std::to_string(i)}));
    }
    return program;
}

}  // namespace coldframe::bench
