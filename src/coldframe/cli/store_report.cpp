#include <coldframe/cli/store_report.hpp>
#include <coldframe/cli/text.hpp>

#include <algorithm>
#include <ostream>

namespace coldframe::cli {
namespace {

constexpr std::int64_t k_nanoseconds = 1'000'000'000;
constexpr std::size_t k_short = 12;
constexpr std::size_t k_reasons = 3;  // of one miss: it has one for each variant that refused
constexpr std::size_t k_reason = 300;

std::string limit_text(std::uint64_t bytes) { return bytes == 0 ? "no limit" : size_text(bytes); }

// Less torch's advice how not to compile again, and what is too long to be read.
std::string shortened(const std::string& reason) {
    const std::string text = reason.substr(0, reason.find(" (HINT: "));
    return printable(text.size() <= k_reason ? text : text.substr(0, k_reason) + "...");
}

}  // namespace

void print_statistics(const std::string& directory, const store::Statistics& statistics, std::ostream& out) {
    const store::Usage& usage = statistics.usage;
    out << "store " << printable(directory) << '\n';
    Table table(2);
    table.add({"holds", count_text(usage.variants, "variant") + ", " + count_text(usage.objects, "object")});
    table.add({"size", size_text(usage.bytes) + " of " + limit_text(statistics.max_bytes)});
    if (usage.quarantined != 0) table.add({"damaged", count_text(usage.quarantined, "file") + " moved away"});
    for (std::size_t i = 0; i < store::k_counter_count; ++i) {
        const auto counter = static_cast<store::Counter>(i);
        const std::uint64_t value = statistics.counters[counter];
        const bool always = counter == store::Counter::hits || counter == store::Counter::misses;
        if (value == 0 && !always) continue;
        if (counter == store::Counter::milliseconds_saved) {
            table.add({"saved", seconds_text(static_cast<double>(value) / 1000) + " of compiling"});
            continue;
        }
        std::string name(store::name_of(counter));
        const bool bytes = name.contains("bytes_");
        for (char& letter : name) letter = letter == '_' ? ' ' : letter;
        table.add({name, bytes ? size_text(value) : std::to_string(value)});
    }
    table.print(out);
}

void print_items(const std::vector<store::Item>& items, std::ostream& out) {
    Table table(0);
    table.add({"KEY", "VARIANT", "SIZE", "SAVES", "LAST USED", "FUNCTION"});
    table.align_right(2);
    table.align_right(3);
    for (const store::Item& item : items) {
        table.add({to_hex(item.key).substr(0, k_short), to_hex(item.id).substr(0, k_short), size_text(item.size),
                   seconds_text(item.compile_seconds), time_text(item.last_used / k_nanoseconds),
                   printable(item.name.module + "." + item.name.qualname)});
    }
    table.print(out);
}

void print_misses(const std::vector<store::MissNote>& misses, std::ostream& out) {
    for (const store::MissNote& miss : misses) {
        out << time_text(miss.when / k_nanoseconds) << "  " << printable(miss.function) << '\n';
        const std::size_t shown = std::min(miss.reasons.size(), k_reasons);
        for (std::size_t i = 0; i < shown; ++i) out << "  " << shortened(miss.reasons[i]) << '\n';
        const std::size_t others = miss.reasons.size() - shown;
        if (others != 0) out << "  and " << count_text(others, "reason") << " more: see --json\n";
    }
    if (misses.empty()) out << "no misses were noted in the last week\n";
}

void print_collected(const store::CollectReport& report, bool dry_run, std::ostream& out) {
    if (report.busy) {
        out << "another collector is at work: nothing was done\n";
        return;
    }
    out << (dry_run ? "would evict " : "evicted ") << count_text(report.evicted, "variant") << " of " << report.before.variants
        << ", " << (dry_run ? "would remove " : "removed ") << count_text(report.swept, "object") << ": "
        << size_text(report.freed) << " of " << size_text(report.before.bytes) << '\n';
    if (report.pending_bytes != 0) {
        out << size_text(report.pending_bytes) << " that nothing needs are too young to be removed: run it again in a minute\n";
    }
}

void print_transfer(const TransferReport& report, std::ostream& out) {
    out << report.verb << ' ' << count_text(report.variants, "variant") << ", " << size_text(report.bytes) << ": "
        << printable(report.remote) << '\n';
    if (report.absent != 0) out << "nothing there for " << count_text(report.absent, "key") << '\n';
    if (report.failed != 0) out << count_text(report.failed, "failure") << '\n';
}

void print_checked(const store::CheckReport& report, std::ostream& out) {
    for (const store::Problem& problem : report.problems) {
        out << to_string(problem.error.code) << ": " << printable(problem.path) << '\n'
            << "  " << printable(problem.error.what()) << '\n';
    }
    out << "intact: " << count_text(report.usage.variants, "variant") << ", " << count_text(report.usage.objects, "object")
        << ", " << size_text(report.usage.bytes) << '\n';
    if (report.problems.empty()) return;
    out << count_text(report.problems.size(), "problem") << ", " << report.repaired << " moved away\n";
}

}  // namespace coldframe::cli
