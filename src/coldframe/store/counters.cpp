#include <coldframe/store/counters.hpp>

#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace coldframe::store {
namespace {

constexpr std::string_view k_first_line = "coldframe counters 1\n";

constexpr std::array<std::string_view, k_counter_count> k_names = {
    "hits",
    "misses",
    "refused_corrupt",
    "refused_untrusted",
    "refused_unsupported",
    "refused_incomplete",
    "refused_io",
    "puts",
    "put_failures",
    "bytes_read",
    "bytes_written",
    "quarantined",
    "evicted",
    "milliseconds_saved",
    "compiled_absent",
    "compiled_guard",
    "compiled_environment",
    "compiled_source",
    "compiled_damaged",
    "remote_hits",
    "remote_misses",
    "remote_skipped",
    "remote_timeouts",
    "remote_failures",
    "remote_refused",
    "remote_corrupt",
    "remote_incomplete",
    "remote_bytes_read",
    "remote_bytes_written",
    "remote_uploads",
    "remote_upload_failures",
    "remote_uploads_dropped",
    "remote_leases",
    "remote_arrivals",
};

// "name value" into `values`; whether it is such a line.
bool decode_line(std::string_view line, CounterValues& values) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return false;
    const std::string_view digits = line.substr(space + 1);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) return false;
    if (const std::optional<Counter> counter = counter_named(line.substr(0, space))) values[*counter] += value;
    return true;
}

}  // namespace

std::string_view name_of(Counter counter) { return k_names[static_cast<std::size_t>(counter)]; }

std::optional<Counter> counter_named(std::string_view name) {
    const auto found = std::ranges::find(k_names, name);
    if (found == k_names.end()) return std::nullopt;
    return static_cast<Counter>(found - k_names.begin());
}

Counter refusal_counter(ErrorCode code) {
    switch (code) {
        case ErrorCode::corrupt: return Counter::refused_corrupt;
        case ErrorCode::untrusted: return Counter::refused_untrusted;
        case ErrorCode::unsupported: return Counter::refused_unsupported;
        case ErrorCode::not_found: return Counter::refused_incomplete;
        default: return Counter::refused_io;
    }
}

CounterValues& CounterValues::operator+=(const CounterValues& other) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += other.values_[i];
    return *this;
}

// What a parent has counted is the parent's to report.
void Counters::forget_parent() {
    const int process = ::getpid();
    if (process_.exchange(process) == process) return;
    for (auto& value : values_) value = 0;
}

void Counters::add(Counter counter, std::uint64_t count) {
    forget_parent();
    values_[static_cast<std::size_t>(counter)] += count;
}

CounterValues Counters::values() {
    forget_parent();
    CounterValues copy;
    for (std::size_t i = 0; i < k_counter_count; ++i) copy[static_cast<Counter>(i)] = values_[i];
    return copy;
}

CounterValues Counters::take() {
    forget_parent();
    CounterValues taken;
    for (std::size_t i = 0; i < k_counter_count; ++i) taken[static_cast<Counter>(i)] = values_[i].exchange(0);
    return taken;
}

void Counters::give_back(const CounterValues& values) {
    for (std::size_t i = 0; i < k_counter_count; ++i) {
        const auto counter = static_cast<Counter>(i);
        if (values[counter] != 0) add(counter, values[counter]);
    }
}

std::string encode_counters(const CounterValues& values) {
    std::string text(k_first_line);
    for (std::size_t i = 0; i < k_counter_count; ++i) {
        const auto counter = static_cast<Counter>(i);
        if (values[counter] == 0) continue;
        text.append(name_of(counter)).append(" ").append(std::to_string(values[counter])).append("\n");
    }
    return text;
}

std::optional<CounterValues> decode_counters(std::string_view text) {
    if (!text.starts_with(k_first_line) || !text.ends_with('\n')) return std::nullopt;
    text.remove_prefix(k_first_line.size());
    CounterValues values;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        if (!decode_line(text.substr(0, end), values)) return std::nullopt;
        text.remove_prefix(end + 1);
    }
    return values;
}

}  // namespace coldframe::store
