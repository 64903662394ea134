#include <coldframe/cli/store_command.hpp>

#include <coldframe/archive/writer.hpp>
#include <coldframe/cli/progress_bar.hpp>
#include <coldframe/cli/remote_command.hpp>
#include <coldframe/cli/report.hpp>
#include <coldframe/cli/store_access.hpp>
#include <coldframe/cli/store_report.hpp>
#include <coldframe/cli/text.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>
#include <ostream>

namespace coldframe::cli {
namespace {

using store::DiskStore;

Result<std::vector<store::Variant>> load(DiskStore& store, const std::string& key) {
    COLDFRAME_TRY_ASSIGN(const std::vector<store::Item> items, find_items(store, key));
    COLDFRAME_TRY_ASSIGN(store::Found found, store.get(items.front().key));
    std::erase_if(found.variants, [&](const store::Variant& variant) {
        return std::ranges::find(items, variant.id, &store::Item::id) == items.end();
    });
    if (!found.variants.empty()) return std::move(found.variants);
    if (!found.refusals.empty()) return std::unexpected(std::move(found.refusals[0].error));
    return fail(ErrorCode::not_found, "it was removed meanwhile");
}

class Runner {
   public:
    Runner(std::ostream& out, std::ostream& err) : out_(out), err_(err) {}

    Result<ExitCode> operator()(const StatsOptions& options) const {
        const auto store = open_store(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        COLDFRAME_TRY_ASSIGN(const store::Statistics statistics, (*store)->statistics());
        (options.json ? print_statistics_json : print_statistics)((*store)->path(), statistics, out_);
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const ListOptions& options) const {
        const auto store = open_store(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        COLDFRAME_TRY_ASSIGN(const std::vector<store::Item> items, (*store)->list());
        (options.json ? print_items_json : print_items)(items, out_);
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const ShowOptions& options) const {
        const auto store = open_store(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        COLDFRAME_TRY_ASSIGN(const std::vector<store::Variant> variants, load(**store, options.key));
        for (const store::Variant& variant : variants) {
            (options.json ? print_json : print_text)({.reader = *variant.reader, .package = variant.package}, {}, out_);
        }
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const CollectOptions& options) const {
        COLDFRAME_TRY_ASSIGN(const auto store,
                             open_store(options, options.dry_run ? store::Access::read_only : store::Access::read_write));
        COLDFRAME_TRY_ASSIGN(const auto report, store->collect({.max_bytes = options.max_bytes, .dry_run = options.dry_run}));
        print_collected(report, options.dry_run, out_);
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const CheckOptions& options) const {
        const auto store = open_store(options, options.repair ? store::Access::read_write : store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        COLDFRAME_TRY_ASSIGN(const store::Statistics statistics, (*store)->statistics());
        ProgressBar bar(statistics.usage.bytes, err_);
        const store::Repair repair = options.repair ? store::Repair::yes : store::Repair::no;
        const auto report = (*store)->check(repair, [&](std::uint64_t done) { bar.update(done); });
        if (!report) return std::unexpected(report.error());
        print_checked(*report, out_);
        return report->problems.size() == report->repaired ? ExitCode::ok : ExitCode::corrupt;
    }

    // Several variants of one key become one package, as far as they were made in one environment.
    Result<ExitCode> operator()(const ExportOptions& options) const {
        const auto store = open_store(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        COLDFRAME_TRY_ASSIGN(const std::vector<store::Variant> variants, load(**store, options.key));
        Package package = variants.front().package;
        for (const store::Variant& variant : std::span(variants).subspan(1)) {
            if (Status merged = package.merge(variant.package); !merged) {
                return std::unexpected(
                    std::move(merged.error()).with("name one variant instead of the key, as coldframe ls does"));
            }
        }
        COLDFRAME_TRY_ASSIGN(const auto written, archive::write(package, options.file));
        out_ << printable(options.file) << ": " << count_text(variants.size(), "variant") << ", " << size_text(written.size)
             << ", digest " << to_hex(written.digest) << '\n';
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const ImportOptions& options) const {
        const auto owner_check = options.any_owner ? archive::OwnerCheck::skip : archive::OwnerCheck::enforce;
        COLDFRAME_TRY_ASSIGN(const Package package, archive::open(options.file, {.owner_check = owner_check}));
        const auto store = open_store(options, store::Access::read_write);
        if (!store) return std::unexpected(store.error());
        COLDFRAME_TRY_ASSIGN(const store::PutReport report, (*store)->put(package));
        out_ << "key " << to_hex(report.key) << "\nvariant " << to_hex(report.id)
             << (report.added ? "" : " (was there already)") << '\n';
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const WhyOptions& options) const {
        const auto store = open_store(options, store::Access::read_only);
        if (!store) return std::unexpected(store.error());
        COLDFRAME_TRY_ASSIGN(std::vector<store::MissNote> misses, (*store)->misses());
        misses.resize(std::min(misses.size(), options.last));
        (options.json ? print_misses_json : print_misses)(misses, out_);
        return ExitCode::ok;
    }

    Result<ExitCode> operator()(const PushOptions& options) const { return push(options, out_, err_); }
    Result<ExitCode> operator()(const PullOptions& options) const { return pull(options, out_, err_); }

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
