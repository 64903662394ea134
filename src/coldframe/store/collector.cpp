#include <coldframe/store/collector.hpp>

#include <coldframe/store/reports.hpp>
#include <coldframe/util/try.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace coldframe::store {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr std::int64_t k_staged_age = nanoseconds(1h).count();       // since its last write: its process is gone or stopped
constexpr std::int64_t k_quarantine_age = nanoseconds(24h).count();  // time enough to look at what was damaged
constexpr std::int64_t k_miss_age = nanoseconds(7 * 24h).count();
constexpr std::int64_t k_trash_age = nanoseconds(60s).count();
constexpr std::int64_t k_future = nanoseconds(60s).count();
constexpr std::int64_t k_lease = nanoseconds(10min).count();  // of the lock: far longer than a collection takes

}  // namespace

// The lock only saves work. Where there are no locks, or its holder hangs, two collectors run.
Collector::Lock Collector::lock() {
    if (state_.read_only()) return Lock::none;
    const Result<Directory> locks = tree_.folder(k_locks, Make::yes);
    if (!locks) return Lock::none;
    constexpr int k_flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    Fs& fs = state_.fs;
    const int fd = uninterrupted([&] { return fs.open_at(locks->fd(), "gc", k_flags, 0600); });
    if (fd < 0) return Lock::none;
    lock_ = FileDescriptor(fs, fd);
    const int locked = uninterrupted([&] { return fs.try_lock(fd); });
    FileInfo info;
    const int known = uninterrupted([&] { return fs.stat(fd, info); });
    if (locked == -EWOULDBLOCK && known == 0 && info.modified > now_ - k_lease) return Lock::busy;
    static_cast<void>(uninterrupted([&] { return fs.touch(fd); }));
    return locked == 0 ? Lock::ours : Lock::none;
}

// The time that a file gets which is written now. All ages are differences of such times, so this host's clock, and how it
// differs from others', does not matter.
Status Collector::read_clock() {
    if (state_.read_only()) {
        now_ = nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
        return {};
    }
    COLDFRAME_TRY_ASSIGN(const Directory staging, tree_.folder(k_staging, Make::yes));
    COLDFRAME_TRY_ASSIGN(const Tree::Staged staged, tree_.stage(staging, Bytes{0}, false));
    now_ = staged.info.modified;
    ignore_failure(staging.remove(staged.name));
    return {};
}

void Collector::clear_folder(const char* name, std::int64_t older_than) {
    const Result<Directory> folder = tree_.folder(name);
    const Result<std::vector<std::string>> names = folder ? folder->names() : std::unexpected(folder.error());
    if (!names) return;
    for (const std::string& file : *names) {
        Result<FileInfo> info = folder->look_at(file);
        if (!info || info->kind == FileKind::directory) continue;  // no such thing is ours to remove
        set_time_right(*folder, file, *info);
        if (info->modified < older_than && folder->remove(file)) report_.freed += disk_size(info->size);
    }
}

// What a collector that crashed has left in trash/ may be needed: back to its place, where it is judged like everything else.
void Collector::restore_trash() {
    const Result<Directory> trash = tree_.folder(k_trash);
    const Result<std::vector<std::string>> names = trash ? trash->names() : std::unexpected(trash.error());
    if (!names) return;
    for (const std::string& name : *names) {
        const std::optional<Digest> object = digest_from_hex(name.substr(0, name.find('.')));
        if (!object || name.find(".m.") != std::string::npos) continue;
        const Result<Directory> shard = tree_.object_shard(*object, Make::yes);
        if (shard) ignore_failure(trash->move(name, *shard, object_name(*object)));
    }
}

// A time in the future says nothing; from now on it is now.
void Collector::set_time_right(const Directory& in, const std::string& name, FileInfo& info) {
    if (info.modified <= now_ + k_future) return;
    info.modified = now_;
    if (dry_run_ || info.kind != FileKind::regular) return;
    if (const Result<InputFile> file = tree_.open_file(in, name)) {
        static_cast<void>(uninterrupted([&] { return file->touch(); }));
    }
}

void Collector::mark_manifest(const Directory& in, const Digest& key, const Digest& id) {
    const std::string name = manifest_name(id);
    const Result<InputFile> file = tree_.open_file(in, name);
    const Result<std::vector<archive::Entry>> entries = file ? read_entries(*file) : std::unexpected(file.error());
    if (!entries) {
        const ErrorCode code = entries.error().code;
        const bool damaged = code == ErrorCode::corrupt || code == ErrorCode::untrusted;
        if (damaged && !dry_run_) state_.quarantine(tree_, in, name);
        if (!damaged && code != ErrorCode::not_found) complete_ = false;
        return;
    }
    FileInfo info = file->info();
    set_time_right(in, name, info);
    const auto first = static_cast<std::uint32_t>(references_.size());
    for (const archive::Entry& entry : *entries) {
        if (!entry.is_detached()) continue;
        const auto [position, added] = objects_.try_emplace(entry.stored_digest);
        ++position->second.references;
        references_.push_back(&position->first);
    }
    const auto count = static_cast<std::uint32_t>(references_.size() - first);
    manifests_.push_back({key, id, disk_size(info.size), info.modified, first, count});
    ++report_.before.variants;
    report_.before.bytes += disk_size(info.size);
}

Status Collector::mark() {
    Walk walk(tree_);
    walk.on_manifest = [&](const Directory& in, const Digest& key, const Digest& id) { mark_manifest(in, key, id); };
    walk.on_object = [&](const Directory& in, const Digest& digest) {
        Result<FileInfo> info = in.look_at(object_name(digest));
        if (!info) return;
        set_time_right(in, object_name(digest), *info);
        Object& object = objects_[digest];
        object.present = true;
        object.size = disk_size(info->size);
        object.modified = info->modified;
        ++report_.before.objects;
        report_.before.bytes += object.size;
    };
    return walk.run();
}

std::int64_t Collector::grace_began() const { return now_ - nanoseconds(state_.options.grace).count(); }

// The bytes that are free at once when no manifest names the object any more.
std::uint64_t Collector::sweepable(const Object& object) const {
    return complete_ && object.present && object.modified < grace_began() ? object.size : 0;
}

// Where not even an empty store would leave as much free as is to stay free, the disk is none of its business.
Result<std::uint64_t> Collector::bytes_lacking_on_disk() const {
    FileSpace space;
    const int result = uninterrupted([&] { return state_.fs.space(tree_.root().fd(), space); });
    if (result < 0) return std::unexpected(errno_error(-result, "ask for the free space of", tree_.root().path()));
    std::uint64_t garbage = 0;
    std::uint64_t evictable = 0;
    for (const auto& [digest, object] : objects_) (object.references == 0 ? garbage : evictable) += sweepable(object);
    for (const Manifest& manifest : manifests_) evictable += manifest.size;
    const std::uint64_t wanted = state_.options.min_free_bytes;
    const std::uint64_t free = space.free + garbage;
    const std::uint64_t lacking = wanted > free ? wanted - free : 0;
    return lacking <= evictable ? lacking : 0;
}

Result<Collector::Excess> Collector::excess(const CollectOptions& options) const {
    std::uint64_t garbage = 0;
    for (const auto& [digest, object] : objects_) {
        if (object.references == 0) garbage += object.size;
    }
    const std::uint64_t needed = report_.before.bytes - garbage;
    const std::uint64_t limit = options.max_bytes.value_or(state_.options.max_bytes);
    const bool limited = options.max_bytes.has_value() || limit != 0;
    Excess excess;
    // An explicit size is met exactly; the store's own limit leaves 10 % slack.
    if (limited && needed > limit) excess.of_store = needed - (options.max_bytes ? limit : limit / 10 * 9);
    COLDFRAME_TRY_ASSIGN(const std::uint64_t lacking, bytes_lacking_on_disk());
    excess.of_disk = lacking;
    return excess;
}

Status Collector::remove_manifest(const Manifest& manifest) {
    if (dry_run_) return {};
    const Result<Directory> directory = tree_.key_directory(manifest.key);
    if (!directory) return std::unexpected(directory.error());
    if (Status removed = directory->remove(manifest_name(manifest.id)); !removed) return removed;
    state_.counters.add(Counter::evicted);
    if (const Result<std::vector<std::string>> rest = directory->names(); !rest || !rest->empty()) return {};
    // A writer that is about to publish here makes the directory again.
    const Result<Directory> manifests = tree_.folder(k_manifests);
    const Result<Directory> shard =
        manifests ? tree_.enter(*manifests, shard_name(manifest.key)) : std::unexpected(manifests.error());
    if (shard) ignore_failure(shard->remove_directory(to_hex(manifest.key)));
    return {};
}

Status Collector::evict(const Excess& excess) {
    std::ranges::sort(manifests_, {}, &Manifest::last_used);
    std::uint64_t freed = 0;
    std::uint64_t freed_at_once = 0;
    for (const Manifest& manifest : manifests_) {
        if (freed >= excess.of_store && freed_at_once >= excess.of_disk) break;
        // What cannot be removed is no reason to remove what was used later. Gone already is as good as removed.
        Status removed = remove_manifest(manifest);
        if (!removed && removed.error().code != ErrorCode::not_found) return removed;
        ++report_.evicted;
        freed += manifest.size;
        freed_at_once += manifest.size;
        removed_ += manifest.size;
        for (std::uint32_t i = 0; i < manifest.object_count; ++i) {
            Object& object = objects_.at(*references_[manifest.first_object + i]);
            if (--object.references != 0) continue;
            freed += object.size;
            freed_at_once += sweepable(object);
        }
    }
    return {};
}

bool Collector::remove_object(const Digest& digest, std::int64_t older_than) {
    if (dry_run_) return true;
    const Result<Directory> shard = tree_.object_shard(digest);
    const Result<Directory> trash = tree_.folder(k_trash, Make::yes);
    const Result<std::string> unique = unique_name(state_.fs);
    if (!shard || !trash || !unique) return false;
    const std::string name = object_name(digest);
    const std::string trashed = name + "." + *unique;
    if (!shard->move_aside(name, *trash, trashed)) return false;
    // Opened, for a network file system answers from its memory which time a file has.
    const Result<InputFile> file = tree_.open_file(*trash, trashed);
    if (file && file->info().modified < older_than) return trash->remove(trashed).has_value();
    ignore_failure(trash->move(trashed, *shard, name));  // a writer wants it
    return false;
}

void Collector::sweep() {
    if (!complete_) return;  // a manifest that could not be read may need any of them
    const std::int64_t older_than = grace_began();
    for (const auto& [digest, object] : objects_) {
        if (!object.present || object.references != 0) continue;
        if (object.modified < older_than && remove_object(digest, older_than)) {
            ++report_.swept;
            removed_ += object.size;
        } else {
            report_.pending_bytes += object.size;
        }
    }
}

Result<CollectReport> Collector::run(const CollectOptions& options) {
    dry_run_ = options.dry_run || state_.read_only();
    COLDFRAME_TRY(read_clock());
    if (lock() == Lock::busy) {
        report_.busy = true;
        return report_;
    }
    if (!dry_run_) {
        restore_trash();
        clear_folder(k_trash, now_ - k_trash_age);
        clear_folder(k_staging, now_ - k_staged_age);
        clear_folder(k_bad, now_ - k_quarantine_age);
        clear_folder(k_locks, now_ - k_staged_age);
        clear_folder(k_misses, now_ - k_miss_age);
    }
    COLDFRAME_TRY(mark());
    COLDFRAME_TRY_ASSIGN(const Excess too_much, excess(options));
    COLDFRAME_TRY(evict(too_much));
    sweep();
    report_.freed += removed_;
    if (dry_run_) return report_;
    COLDFRAME_TRY_ASSIGN(const CounterValues sum, merge_reports(tree_));
    COLDFRAME_TRY(write_usage(tree_, report_.before.bytes - removed_, sum));
    return report_;
}

}  // namespace coldframe::store
