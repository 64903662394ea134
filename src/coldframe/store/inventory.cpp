// What is in a disk store: listing, removing, counting, and making room before a put.
#include <coldframe/store/collector.hpp>
#include <coldframe/store/objects.hpp>
#include <coldframe/store/reports.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>

namespace coldframe::store {
namespace {

bool is_absent(const Error& error) { return error.code == ErrorCode::not_found; }

// For the manifest alone: its parts are not needed to tell what it is.
class NoObjects final : public archive::ObjectSource {
   public:
    Result<Bytes> read(const archive::Entry&) const override { return fail(ErrorCode::not_found, "objects are not read here"); }
};

Result<Item> read_item(const Tree& tree, const Directory& in, const Digest& key, const Digest& id) {
    COLDFRAME_TRY_ASSIGN(const InputFile file, tree.open_file(in, manifest_name(id)));
    if (file.info().size > k_max_manifest_size) return fail(ErrorCode::corrupt, "'" + file.path() + "' is too large");
    COLDFRAME_TRY_ASSIGN(Bytes bytes, read_named(file, id));
    COLDFRAME_TRY_ASSIGN(const auto reader,
                         archive::open_detached(std::move(bytes), file.path(), std::make_shared<NoObjects>()));
    COLDFRAME_TRY_ASSIGN(const Package package, reader->package());
    Item item{key, id, package.key, disk_size(file.info().size), file.info().modified, package.compile_seconds};
    for (const archive::Entry& entry : reader->entries()) {
        if (entry.is_detached()) item.size += disk_size(entry.stored_size);
    }
    return item;
}

Result<Usage> count_usage(const Tree& tree) {
    Usage usage;
    Walk walk(tree);
    walk.on_manifest = [&](const Directory& in, const Digest&, const Digest& id) {
        const Result<FileInfo> info = in.look_at(manifest_name(id));
        if (!info) return;
        ++usage.variants;
        usage.bytes += disk_size(info->size);
    };
    walk.on_object = [&](const Directory& in, const Digest& digest) {
        const Result<FileInfo> info = in.look_at(object_name(digest));
        if (!info) return;
        ++usage.objects;
        usage.bytes += disk_size(info->size);
    };
    COLDFRAME_TRY(walk.run());
    const Result<Directory> bad = tree.folder(k_bad);
    const Result<std::vector<std::string>> names = bad ? bad->names() : std::unexpected(bad.error());
    if (names) usage.quarantined = names->size();
    return usage;
}

}  // namespace

Result<std::vector<Item>> DiskStore::list() {
    std::vector<Item> items;
    const Result<Tree> tree = state_->tree();
    if (!tree && is_absent(tree.error())) return items;
    if (!tree) return std::unexpected(tree.error());
    Walk walk(*tree);
    walk.on_manifest = [&](const Directory& in, const Digest& key, const Digest& id) {
        if (Result<Item> item = read_item(*tree, in, key, id)) items.push_back(std::move(*item));
    };
    COLDFRAME_TRY(walk.run());
    std::ranges::sort(items, std::ranges::greater{}, &Item::last_used);
    return items;
}

Status DiskStore::note_miss(const MissNote& miss) {
    if (miss.counted_as) counters().add(*miss.counted_as);
    if (state_->read_only()) return {};
    const Result<Tree> tree = state_->prepared_tree();
    return tree ? write_miss(*tree, miss) : std::unexpected(tree.error());
}

Result<std::vector<MissNote>> DiskStore::misses() {
    const Result<Tree> tree = state_->tree();
    if (!tree && is_absent(tree.error())) return std::vector<MissNote>{};
    return tree ? read_misses(*tree) : std::unexpected(tree.error());
}

Result<std::uint64_t> DiskStore::trim(const Digest& key, std::size_t keep) {
    const Result<Tree> tree = state_->tree();
    const Result<Directory> directory = tree ? tree->key_directory(key) : std::unexpected(tree.error());
    const Result<std::vector<std::string>> names = directory ? directory->names() : std::unexpected(directory.error());
    if (!names && is_absent(names.error())) return std::uint64_t{0};
    if (!names) return std::unexpected(names.error());
    std::vector<std::pair<std::int64_t, Digest>> by_age;
    for (const std::string& name : *names) {
        const std::optional<Digest> id = parse_manifest_name(name);
        const Result<FileInfo> info = id ? directory->look_at(name) : fail(ErrorCode::not_found, name);
        if (info) by_age.emplace_back(info->modified, *id);
    }
    std::ranges::sort(by_age, std::ranges::greater{});
    std::uint64_t removed = 0;
    for (std::size_t i = keep; i < by_age.size(); ++i) {
        const Result<std::uint64_t> gone = remove(key, by_age[i].second);
        if (!gone) return gone;
        removed += *gone;
    }
    return removed;
}

Result<std::uint64_t> DiskStore::remove(const Digest& key, const std::optional<Digest>& id) {
    if (state_->read_only()) return fail(ErrorCode::io, "the store '" + path() + "' was opened for reading only");
    const Result<Tree> tree = state_->tree();
    const Result<Directory> directory = tree ? tree->key_directory(key) : std::unexpected(tree.error());
    const Result<std::vector<std::string>> names = directory ? directory->names() : std::unexpected(directory.error());
    if (!names && is_absent(names.error())) return std::uint64_t{0};
    if (!names) return std::unexpected(names.error());
    std::uint64_t removed = 0;
    for (const std::string& name : *names) {
        const std::optional<Digest> found = parse_manifest_name(name);
        if (!found || (id && *found != *id)) continue;
        Status done = directory->remove(name);
        if (!done && !is_absent(done.error())) return std::unexpected(std::move(done.error()));
        if (done) ++removed;
    }
    return removed;
}

Result<Statistics> DiskStore::statistics() {
    Statistics statistics;
    statistics.max_bytes = state_->options.max_bytes;
    statistics.counters = state_->counters.values();
    const Result<Tree> tree = state_->tree();
    if (!tree && is_absent(tree.error())) return statistics;
    if (!tree) return std::unexpected(tree.error());
    COLDFRAME_TRY_ASSIGN(const CounterValues sum, sum_reports(*tree));
    statistics.counters += sum;
    COLDFRAME_TRY_ASSIGN(const Usage usage, count_usage(*tree));
    statistics.usage = usage;
    return statistics;
}

Result<CollectReport> DiskStore::collect(const CollectOptions& options) {
    if (state_->read_only() && !options.dry_run) {
        return fail(ErrorCode::io, "the store '" + path() + "' was opened for reading only");
    }
    const Result<Tree> tree = state_->tree();
    if (!tree && is_absent(tree.error())) return CollectReport{};
    if (!tree) return std::unexpected(tree.error());
    if (Status format = tree->check_format(); !format) {  // what is no store is not tidied up
        if (is_absent(format.error())) return CollectReport{};
        return std::unexpected(std::move(format.error()));
    }
    Result<CollectReport> report = Collector(*state_, *tree).run(options);
    ignore_failure(flush());
    return report;
}

// Collects when the store is over its limit, or the disk nearly full. What then is still far too much is refused.
Status DiskStore::make_room() {
    const Result<Tree> tree = state_->tree();
    if (!tree && is_absent(tree.error())) return {};
    if (!tree) return std::unexpected(tree.error());
    const DiskOptions& options = state_->options;
    const auto is_over = [&](std::uint64_t limit) -> Result<bool> {
        COLDFRAME_TRY_ASSIGN(const std::uint64_t bytes, estimate_bytes(*tree));
        return options.max_bytes != 0 && bytes > limit;
    };
    const auto is_nearly_full = [&] -> Result<bool> {
        FileSpace space;
        const int result = uninterrupted([&] { return state_->fs.space(tree->root().fd(), space); });
        if (result < 0) return std::unexpected(errno_error(-result, "ask for the free space of", path()));
        return space.free < options.min_free_bytes;
    };
    COLDFRAME_TRY_ASSIGN(const bool over, is_over(options.max_bytes));
    const Result<bool> full = is_nearly_full();
    if (!full) return std::unexpected(full.error());
    if (!over && !*full) return {};
    if (Result<CollectReport> report = collect({}); !report) return std::unexpected(std::move(report.error()));
    COLDFRAME_TRY_ASSIGN(const bool still_over, is_over(options.max_bytes / 20 * 21));
    COLDFRAME_TRY_ASSIGN(const bool still_full, is_nearly_full());
    if (!still_over && !still_full) return {};
    return fail(ErrorCode::no_space, still_full
                                         ? "the disk has less free space than is to stay free: nothing is stored"
                                         : "the store is full: raise its limit, or wait until what others write settles");
}

}  // namespace coldframe::store
