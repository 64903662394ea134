#include <coldframe/cli/store_command.hpp>

#include <coldframe/archive/writer.hpp>
#include <coldframe/cli/report.hpp>
#include <coldframe/cli/store_report.hpp>
#include <coldframe/cli/text.hpp>
#include <coldframe/store/disk_store.hpp>

#include <unistd.h>

#include <algorithm>
#include <ostream>

namespace coldframe::cli {
namespace {

using store::DiskStore;

constexpr std::size_t k_shortest_key = 4;
constexpr std::size_t k_bar_width = 40;

std::unexpected<Error> wrong_argument(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

Result<std::unique_ptr<DiskStore>> open(const StorePlace& place, store::Access access) {
    Result<std::string> directory = place.directory.empty() ? store::default_directory() : Result<std::string>(place.directory);
    if (!directory) return std::unexpected(std::move(directory.error()));
    return DiskStore::open(*directory, {.access = access});
}

// The variants that KEY names: the beginning of a key's digest names all of that key's, that of an id the one.
Result<std::vector<store::Item>> find(DiskStore& store, const std::string& key) {
    const bool hex = std::ranges::all_of(key, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (!hex || key.size() < k_shortest_key) {
        return wrong_argument("'" + key + "' is no key: give at least its first " + std::to_string(k_shortest_key) +
                              " digits, as coldframe ls lists it");
    }
    Result<std::vector<store::Item>> items = store.list();
    if (!items) return items;
    std::vector<store::Item> of_key;
    std::vector<store::Item> of_id;
    for (const store::Item& item : *items) {
        if (to_hex(item.key).starts_with(key)) of_key.push_back(item);
        if (to_hex(item.id).starts_with(key)) of_id.push_back(item);
    }
    std::vector<store::Item>& named = of_key.empty() ? of_id : of_key;
    if (named.empty()) return fail(ErrorCode::not_found, "the store has no key and no variant that begins with '" + key + "'");
    const bool one_key = std::ranges::all_of(named, [&](const store::Item& item) { return item.key == named[0].key; });
    if (one_key) return std::move(named);
    return wrong_argument("several keys begin with '" + key + "': give more digits");
}

Result<std::vector<store::Variant>> load(DiskStore& store, const std::string& key) {
    const Result<std::vector<store::Item>> items = find(store, key);
    if (!items) return std::unexpected(items.error());
    Result<store::Found> found = store.get(items->front().key);
    if (!found) return std::unexpected(std::move(found.error()));
    std::erase_if(found->variants, [&](const store::Variant& variant) {
        return std::ranges::find(*items, variant.id, &store::Item::id) == items->end();
    });
    if (!found->variants.empty()) return std::move(found->variants);
    if (!found->refusals.empty()) return std::unexpected(std::move(found->refusals[0].error));
    return fail(ErrorCode::not_found, "it was removed meanwhile");
}

// A line that is drawn over itself, for people who watch.
class ProgressBar {
   public:
    ProgressBar(std::uint64_t total, std::ostream& err) : total_(total), err_(err), shown_(::isatty(STDERR_FILENO) == 1) {}
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;
    ~ProgressBar() {
        if (drawn_ != 0) err_ << '\r' << std::string(k_bar_width + 32, ' ') << '\r' << std::flush;
    }

    void update(std::uint64_t done) {
        if (!shown_ || total_ == 0) return;
        const auto width = static_cast<std::size_t>(std::min(done, total_) * k_bar_width / total_);
        if (width == drawn_) return;
        drawn_ = width;
        err_ << "\r[" << std::string(width, '#') << std::string(k_bar_width - width, ' ') << "] " << size_text(done) << " of "
             << size_text(total_) << ' ' << std::flush;
    }

   private:
    std::uint64_t total_;
    std::ostream& err_;
    bool shown_;
    std::size_t drawn_ = 0;
};

class Runner {
   public:
    Runner(std::ostream& out, std::ostream& err) : out_(out), err_(err) {}

    Result<ExitCode> operator()(const StatsOptions& options) const {
        const auto store = open(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        const Result<store::Statistics> statistics = (*store)->statistics();
        if (!statistics) return std::unexpected(statistics.error());
        (options.json ? print_statistics_json : print_statistics)((*store)->path(), *statistics, out_);
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const ListOptions& options) const {
        const auto store = open(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        const Result<std::vector<store::Item>> items = (*store)->list();
        if (!items) return std::unexpected(items.error());
        (options.json ? print_items_json : print_items)(*items, out_);
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const ShowOptions& options) const {
        const auto store = open(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        const Result<std::vector<store::Variant>> variants = load(**store, options.key);
        if (!variants) return std::unexpected(variants.error());
        for (const store::Variant& variant : *variants) {
            (options.json ? print_json : print_text)({.reader = *variant.reader, .package = variant.package}, {}, out_);
        }
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const CollectOptions& options) const {
        const auto store = open(options, options.dry_run ? store::Access::read_only : store::Access::read_write);
        if (!store) return std::unexpected(store.error());
        const auto report = (*store)->collect({.max_bytes = options.max_bytes, .dry_run = options.dry_run});
        if (!report) return std::unexpected(report.error());
        print_collected(*report, options.dry_run, out_);
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const CheckOptions& options) const {
        const auto store = open(options, options.repair ? store::Access::read_write : store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        const Result<store::Statistics> statistics = (*store)->statistics();
        if (!statistics) return std::unexpected(statistics.error());
        ProgressBar bar(statistics->usage.bytes, err_);
        const store::Repair repair = options.repair ? store::Repair::yes : store::Repair::no;
        const auto report = (*store)->check(repair, [&](std::uint64_t done) { bar.update(done); });
        if (!report) return std::unexpected(report.error());
        print_checked(*report, out_);
        return report->problems.size() == report->repaired ? ExitCode::ok : ExitCode::corrupt;
    }

    // Several variants of one key become one package, as far as they were made in one environment.
    Result<ExitCode> operator()(const ExportOptions& options) const {
        const auto store = open(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        const Result<std::vector<store::Variant>> variants = load(**store, options.key);
        if (!variants) return std::unexpected(variants.error());
        Package package = variants->front().package;
        for (const store::Variant& variant : std::span(*variants).subspan(1)) {
            if (Status merged = package.merge(variant.package); !merged) {
                return std::unexpected(
                    std::move(merged.error()).with("name one variant instead of the key, as coldframe ls does"));
            }
        }
        const auto written = archive::write(package, options.file);
        if (!written) return std::unexpected(written.error());
        out_ << printable(options.file) << ": " << count_text(variants->size(), "variant") << ", " << size_text(written->size)
             << ", digest " << to_hex(written->digest) << '\n';
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const ImportOptions& options) const {
        const auto owner_check = options.any_owner ? archive::OwnerCheck::skip : archive::OwnerCheck::enforce;
        const Result<Package> package = archive::open(options.file, {.owner_check = owner_check});
        if (!package) return std::unexpected(package.error());
        const auto store = open(options, store::Access::read_write);
        if (!store) return std::unexpected(store.error());
        const Result<store::PutReport> report = (*store)->put(*package);
        if (!report) return std::unexpected(report.error());
        out_ << "key " << to_hex(report->key) << "\nvariant " << to_hex(report->id)
             << (report->added ? "" : " (was there already)") << '\n';
        return ExitCode::ok;
    }

   private:
    std::ostream& out_;
    std::ostream& err_;
};

}  // namespace

Result<ExitCode> run_store_command(const StoreCommand& command, std::ostream& out, std::ostream& err) {
    return std::visit(Runner(out, err), command);
}

std::string store_directory(const StoreCommand& command) {
    const std::string named = std::visit([](const StorePlace& place) { return place.directory; }, command);
    return named.empty() ? store::default_directory().value_or("the store") : named;
}

}  // namespace coldframe::cli
