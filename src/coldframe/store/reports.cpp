#include <coldframe/store/reports.hpp>

#include <coldframe/util/try.hpp>

#include <algorithm>
#include <charconv>

namespace coldframe::store {
namespace {

constexpr std::uint64_t k_max_report_size = 4096;
constexpr std::size_t k_many_reports = 64;
constexpr std::uint64_t k_max_miss_size = 65536;
constexpr std::string_view k_usage_start = "coldframe usage 1\n";
constexpr std::string_view k_miss_start = "coldframe miss 1\n";

ByteView view(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

// Nothing when there is no such file, or it is none of ours.
std::optional<std::string> read_text(const Tree& tree, const Directory& in, const std::string& name,
                                     std::uint64_t max_size = k_max_report_size) {
    const Result<InputFile> file = tree.open_file(in, name);
    if (!file || file->info().size > max_size) return std::nullopt;
    const Result<Bytes> bytes = file->read_all();
    if (!bytes) return std::nullopt;
    return std::string(bytes->begin(), bytes->end());
}

std::optional<CounterValues> read_report(const Tree& tree, const Directory& in, const std::string& name) {
    const std::optional<std::string> text = read_text(tree, in, name);
    return text ? decode_counters(*text) : std::nullopt;
}

// Written aside and then renamed: a reader sees all of it or none.
Status write_file(const Tree& tree, std::string_view text, const char* name, const char* folder = k_reports) {
    COLDFRAME_TRY_ASSIGN(const Directory staging, tree.folder(k_staging, Make::yes));
    COLDFRAME_TRY_ASSIGN(const Directory reports, tree.folder(folder, Make::yes));
    COLDFRAME_TRY_ASSIGN(const Tree::Staged staged, tree.stage(staging, view(text), false));
    const std::string as = name == nullptr ? staged.name : std::string(name);
    const int result =
        uninterrupted([&] { return tree.fs().rename_at(staging.fd(), staged.name, reports.fd(), as, Replace::yes); });
    if (result == 0) return {};
    // A file server may have done it and lost the reply: a sum that is written all the same must not be taken for failed.
    const Result<FileInfo> there = reports.look_at(as);
    if (there && there->inode == staged.info.inode && there->device == staged.info.device) return {};
    ignore_failure(staging.remove(staged.name));
    return std::unexpected(errno_error(-result, "write", reports.path_of(as)));
}

Result<std::vector<std::string>> report_names(const Directory& reports) {
    Result<std::vector<std::string>> names = reports.names();
    if (names) std::erase(*names, k_usage);
    return names;
}

struct UsageRecord {
    std::uint64_t bytes = 0;    // that a walk has found
    std::uint64_t written = 0;  // according to the reports at that time
};

std::optional<UsageRecord> decode_usage(std::string_view text) {
    if (!text.starts_with(k_usage_start)) return std::nullopt;
    text.remove_prefix(k_usage_start.size());
    UsageRecord usage;
    const auto [space, first] = std::from_chars(text.data(), text.data() + text.size(), usage.bytes);
    if (first != std::errc{} || space == text.data() + text.size() || *space != ' ') return std::nullopt;
    const auto [end, second] = std::from_chars(space + 1, text.data() + text.size(), usage.written);
    if (second != std::errc{} || end + 1 != text.data() + text.size() || *end != '\n') return std::nullopt;
    return usage;
}

// A text as one line.
void append_line(std::string& text, std::string_view line) {
    for (const char c : line.substr(0, k_max_miss_size / 16)) text.push_back(c == '\n' || c == '\r' ? ' ' : c);
    text.push_back('\n');
}

std::optional<MissNote> decode_miss(std::string_view text) {
    if (!text.starts_with(k_miss_start)) return std::nullopt;
    text.remove_prefix(k_miss_start.size());
    MissNote miss;
    for (bool first = true; !text.empty(); first = false) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        if (first) {
            miss.function = text.substr(0, end);
        } else {
            miss.reasons.emplace_back(text.substr(0, end));
        }
        text.remove_prefix(end + 1);
    }
    return miss;
}

}  // namespace

Status write_miss(const Tree& tree, const MissNote& miss) {
    std::string text(k_miss_start);
    append_line(text, miss.function);
    for (const std::string& reason : miss.reasons) {
        if (text.size() < k_max_miss_size / 2) append_line(text, reason);
    }
    return write_file(tree, text, nullptr, k_misses);
}

Result<std::vector<MissNote>> read_misses(const Tree& tree) {
    std::vector<MissNote> misses;
    const Result<Directory> folder = tree.folder(k_misses);
    if (!folder && folder.error().code == ErrorCode::not_found) return misses;
    COLDFRAME_TRY_ASSIGN(const std::vector<std::string> names, folder ? folder->names() : std::unexpected(folder.error()));
    for (const std::string& name : names) {
        const Result<FileInfo> info = folder->look_at(name);
        const std::optional<std::string> text = read_text(tree, *folder, name, k_max_miss_size);
        std::optional<MissNote> miss = text ? decode_miss(*text) : std::nullopt;
        if (!info || !miss) continue;
        miss->when = info->modified;
        misses.push_back(std::move(*miss));
    }
    std::ranges::sort(misses, std::ranges::greater{}, &MissNote::when);
    return misses;
}

Status write_report(const Tree& tree, const CounterValues& values) {
    return write_file(tree, encode_counters(values), nullptr);
}

Result<CounterValues> sum_reports(const Tree& tree) {
    const Result<Directory> reports = tree.folder(k_reports);
    if (!reports && reports.error().code == ErrorCode::not_found) return CounterValues{};
    if (!reports) return std::unexpected(reports.error());
    COLDFRAME_TRY_ASSIGN(const std::vector<std::string> names, report_names(*reports));
    CounterValues sum;
    for (const std::string& name : names) sum += read_report(tree, *reports, name).value_or(CounterValues{});
    return sum;
}

Result<CounterValues> merge_reports(const Tree& tree) {
    const Result<Directory> reports = tree.folder(k_reports);
    if (!reports && reports.error().code == ErrorCode::not_found) return CounterValues{};
    if (!reports) return std::unexpected(reports.error());
    const Result<std::vector<std::string>> names = report_names(*reports);
    if (!names) return std::unexpected(names.error());
    const Result<Directory> staging = tree.folder(k_staging, Make::yes);
    if (!staging) return std::unexpected(staging.error());
    CounterValues sum;
    std::vector<std::pair<std::string, std::string>> taken;  // names here and in the staging folder
    for (const std::string& name : *names) {
        const std::optional<CounterValues> report = read_report(tree, *reports, name);
        const Result<std::string> aside = unique_name(tree.fs());
        if (!report || !aside) continue;
        if (!reports->move_aside(name, *staging, *aside)) continue;  // another process merges it
        taken.emplace_back(name, *aside);
        sum += *report;
    }
    Status written = sum.empty() ? Status{} : write_report(tree, sum);
    for (const auto& [name, aside] : taken) {
        // Without the sum, the parts go back.
        ignore_failure(written ? staging->remove(aside) : staging->move(aside, *reports, name));
    }
    if (!written) return std::unexpected(std::move(written.error()));
    return sum;
}

Result<std::uint64_t> estimate_bytes(const Tree& tree) {
    const Result<Directory> reports = tree.folder(k_reports);
    if (!reports && reports.error().code == ErrorCode::not_found) return std::uint64_t{0};
    if (!reports) return std::unexpected(reports.error());
    COLDFRAME_TRY_ASSIGN(const std::vector<std::string> names, report_names(*reports));
    COLDFRAME_TRY_ASSIGN(const CounterValues sum, names.size() > k_many_reports ? merge_reports(tree) : sum_reports(tree));
    const std::optional<std::string> text = read_text(tree, *reports, k_usage);
    const UsageRecord usage = text ? decode_usage(*text).value_or(UsageRecord{}) : UsageRecord{};
    const std::uint64_t written = sum[Counter::bytes_written];
    return usage.bytes + (written > usage.written ? written - usage.written : 0);
}

Status write_usage(const Tree& tree, std::uint64_t bytes, const CounterValues& sum) {
    const std::string text =
        std::string(k_usage_start) + std::to_string(bytes) + " " + std::to_string(sum[Counter::bytes_written]) + "\n";
    return write_file(tree, text, k_usage);
}

}  // namespace coldframe::store
