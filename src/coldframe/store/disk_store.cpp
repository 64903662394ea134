#include <coldframe/store/disk_store.hpp>

#include <coldframe/store/objects.hpp>
#include <coldframe/store/publisher.hpp>
#include <coldframe/store/reports.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>
#include <cmath>

namespace coldframe::store {
namespace {

using namespace std::chrono_literals;

constexpr int k_attempts = 3;
constexpr std::int64_t k_touch_after = std::chrono::nanoseconds(1h).count();
constexpr std::int64_t k_flush_after = 60;  // seconds

std::int64_t steady_seconds() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Absent directories are what an empty store looks like.
bool is_absent(const Error& error) { return error.code == ErrorCode::not_found; }

bool is_damage(const Error& error) { return error.code == ErrorCode::corrupt || error.code == ErrorCode::untrusted; }

// The time of last use, for eviction. Whatever this host's clock says: what is far from it, in either direction, gets the file
// system's time, which is the same for all.
void touch(const InputFile& file) {
    const std::int64_t now = std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
    const std::int64_t modified = file.info().modified;
    if (modified > now - k_touch_after && modified < now + k_touch_after) return;
    static_cast<void>(uninterrupted([&] { return file.touch(); }));
}

// One lookup.
class Lookup {
   public:
    Lookup(const std::shared_ptr<DiskState>& state, const Tree& tree, const Digest& key, const PackageKey* name)
        : state_(state), tree_(tree), key_(key), name_(name) {}

    Result<Found> run() {
        const Result<Directory> directory = tree_.key_directory(key_);
        const Result<std::vector<std::string>> names = directory ? directory->names() : std::unexpected(directory.error());
        if (!names && is_absent(names.error())) return Found{};  // never there, or just removed by a collector
        if (!names) return std::unexpected(names.error());
        for (const std::string& name : *names) {
            const std::optional<Digest> id = parse_manifest_name(name);
            if (!id) continue;
            Result<Variant> variant = open(*directory, name, *id);
            if (variant) {
                found_.variants.push_back(std::move(*variant));
            } else {
                refuse(*directory, name, *id, std::move(variant.error()));
            }
        }
        std::ranges::sort(found_.variants, std::ranges::greater{}, &Variant::last_used);
        return std::move(found_);
    }

   private:
    Result<Variant> open(const Directory& directory, const std::string& name, const Digest& id) {
        COLDFRAME_TRY_ASSIGN(const InputFile file, tree_.open_file(directory, name));
        if (file.info().size > k_max_manifest_size) return fail(ErrorCode::corrupt, "'" + file.path() + "' is too large");
        COLDFRAME_TRY_ASSIGN(Bytes bytes, read_named(file, id));
        state_->counters.add(Counter::bytes_read, bytes.size());
        const auto objects = std::make_shared<StoredObjects>(state_);
        COLDFRAME_TRY_ASSIGN(const auto reader, archive::open_detached(std::move(bytes), file.path(), objects));
        objects_failed_ = true;
        COLDFRAME_TRY(objects->find(tree_, reader->entries()));
        objects_failed_ = false;
        COLDFRAME_TRY_ASSIGN(Package package, reader->package());
        if (key_digest(package) != key_ || (name_ != nullptr && !(package.key == *name_))) {
            return fail(ErrorCode::corrupt, "'" + file.path() + "' belongs to another key");
        }
        if (!state_->read_only()) touch(file);
        return Variant{id, std::move(package), reader, file.info().modified};
    }

    void refuse(const Directory& directory, const std::string& name, const Digest& id, Error error) {
        const bool object_failed = std::exchange(objects_failed_, false);
        if (is_absent(error) && !object_failed) return;  // removed between listing and opening
        if (is_damage(error) && !object_failed) state_->quarantine(tree_, directory, name);
        found_.refusals.push_back({to_hex(id), std::move(error)});
    }

    const std::shared_ptr<DiskState>& state_;
    const Tree& tree_;
    Digest key_;
    const PackageKey* name_;
    Found found_;
    bool objects_failed_ = false;
};

void count(Counters& counters, const Result<Found>& found) {
    if (!found) {
        counters.add(Counter::misses);
        counters.add(refusal_counter(found.error().code));
        return;
    }
    counters.add(found->variants.empty() ? Counter::misses : Counter::hits);
    for (const Refusal& refusal : found->refusals) counters.add(refusal_counter(refusal.error.code));
    for (const Variant& variant : found->variants) {
        const double saved = variant.package.compile_seconds * 1000;
        if (std::isfinite(saved) && saved > 0 && saved < 1e12) {
            counters.add(Counter::milliseconds_saved, static_cast<std::uint64_t>(saved));
        }
    }
}

bool worth_another_try(const Found& found) {
    return std::ranges::any_of(found.refusals, [](const Refusal& refusal) { return refusal.error.code == ErrorCode::io; });
}

}  // namespace

DiskStore::DiskStore(std::shared_ptr<DiskState> state) : state_(std::move(state)), flushed_(steady_seconds()) {}

DiskStore::~DiskStore() { ignore_failure(flush()); }

const std::string& DiskStore::path() const { return state_->path; }
bool DiskStore::read_only() const { return state_->read_only(); }
Counters& DiskStore::counters() { return state_->counters; }

Result<std::unique_ptr<DiskStore>> DiskStore::open(const std::string& path, const DiskOptions& options) {
    auto state = std::make_shared<DiskState>(path, options);
    if (const Result<Tree> tree = state->tree()) {
        COLDFRAME_TRY(tree->check_ancestors());
        // A damaged FORMAT stops what writes, not what reads: every other file vouches for itself.
        Status format = tree->check_format();
        if (!format && format.error().code == ErrorCode::unsupported) return std::unexpected(std::move(format.error()));
    } else if (!is_absent(tree.error())) {
        return std::unexpected(tree.error());
    }
    return std::unique_ptr<DiskStore>(new DiskStore(std::move(state)));
}

Result<Found> DiskStore::get(const PackageKey& key) {
    Result<Found> found = look_up(key_digest(key), &key);
    count(state_->counters, found);
    flush_now_and_then();
    return found;
}

Result<Found> DiskStore::get(const Digest& key) {
    Result<Found> found = look_up(key, nullptr);
    count(state_->counters, found);
    flush_now_and_then();
    return found;
}

Result<Found> DiskStore::get_again(const Digest& key) { return look_up(key, nullptr); }

Result<Found> DiskStore::look_up(const Digest& key, const PackageKey* name) {
    Result<Found> found = Found{};
    for (int attempt = 0; attempt < k_attempts; ++attempt) {
        const Result<Tree> tree = state_->tree();
        if (tree) {
            found = Lookup(state_, *tree, key, name).run();
        } else if (is_absent(tree.error())) {
            found = Found{};
        } else {
            found = std::unexpected(tree.error());
        }
        const bool again = found ? worth_another_try(*found) : found.error().code == ErrorCode::io;
        if (!again) break;
    }
    return found;
}

Result<PutReport> DiskStore::put(const Package& package) {
    Result<PutReport> report =
        publish(key_digest(package), [&](Publisher& publisher) { return archive::to_detached(package, publisher); });
    if (report) {
        state_->counters.add(Counter::puts);
    } else if (!read_only()) {
        state_->counters.add(Counter::put_failures);
    }
    if (report) ignore_failure(flush());  // others judge by it how full the store is
    return report;
}

Result<PutReport> DiskStore::publish(const Digest& key, const std::function<Result<Bytes>(Publisher&)>& fill) {
    if (read_only()) return fail(ErrorCode::io, "the store '" + path() + "' was opened for reading only");
    const auto once = [&] -> Result<PutReport> {
        COLDFRAME_TRY(make_room());
        COLDFRAME_TRY_ASSIGN(const Tree tree, state_->prepared_tree());
        Publisher publisher(*state_, tree, key);
        COLDFRAME_TRY_ASSIGN(const Bytes manifest, fill(publisher));
        return publisher.publish(manifest);
    };
    Result<PutReport> report = once();
    // A collector has taken a directory, an object or a report that is being written from under it, or a file server was
    // replaced.
    for (int i = 1; i < k_attempts && !report && is_absent(report.error()); ++i) report = once();
    if (!report) return std::unexpected(std::move(report.error()).with("while storing into '" + path() + "'"));
    state_->counters.add(Counter::bytes_written, report->bytes_written);
    return report;
}

Joined DiskStore::join(const Digest& key, const JoinOptions& options) { return join_flight(*state_, key, options); }

void DiskStore::flush_now_and_then() {
    const std::int64_t now = steady_seconds();
    if (now - flushed_ < k_flush_after) return;
    flushed_ = now;
    ignore_failure(flush());
}

Status DiskStore::flush() {
    if (state_->read_only()) return {};
    const CounterValues delta = state_->counters.take();
    if (delta.empty()) return {};
    const Result<Tree> tree = state_->tree();
    const Status format = tree ? tree->check_format() : std::unexpected(tree.error());
    if (!format && is_absent(format.error())) return {};  // nothing was put yet: nobody will ask
    Status written = tree ? write_report(*tree, delta) : std::unexpected(tree.error());
    if (!written) state_->counters.give_back(delta);
    return written;
}

}  // namespace coldframe::store
