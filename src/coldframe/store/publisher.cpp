// Correct without a lock: names are digests, so two writers of one name write the same bytes; nothing is replaced; and the
// manifest, by which alone the rest is found, comes when the rest is there.
#include <coldframe/store/publisher.hpp>

#include <coldframe/store/objects.hpp>
#include <coldframe/util/try.hpp>

namespace coldframe::store {
namespace {

constexpr std::size_t k_single_syncs = 16;  // more files than that are synced together

}  // namespace

Publisher::~Publisher() {
    const Result<Directory> staging = tree_.folder(k_staging);
    for (const Pending& pending : pending_) {
        if (staging && !pending.staged.name.empty()) ignore_failure(staging->remove(pending.staged.name));
    }
}

Result<bool> Publisher::is_intact(const Directory& in, const std::string& name, const Digest& digest, std::uint64_t size) {
    const Result<InputFile> file = tree_.open_file(in, name);
    if (!file && file.error().code == ErrorCode::not_found) return false;
    Result<Bytes> bytes = file ? read_named(*file, digest) : std::unexpected(file.error());
    if (bytes && bytes->size() == size) {
        // Its age is what keeps a collector from it until the manifest names it. Where that fails, the check at the end finds
        // out.
        static_cast<void>(uninterrupted([&] { return file->touch(); }));
        return true;
    }
    const bool damaged = bytes || bytes.error().code == ErrorCode::corrupt || bytes.error().code == ErrorCode::untrusted;
    if (!damaged) return std::unexpected(std::move(bytes.error()));  // it may well be sound: other packages may need it
    state_.quarantine(tree_, in, name);
    return false;
}

Result<Publisher::Pending> Publisher::stage(ByteView bytes, const Digest& digest, bool synced) {
    COLDFRAME_TRY_ASSIGN(const Directory staging, tree_.folder(k_staging, Make::yes));
    COLDFRAME_TRY_ASSIGN(Tree::Staged staged, tree_.stage(staging, bytes, synced));
    return Pending{digest, bytes.size(), std::move(staged)};
}

Result<bool> Publisher::is_known(const archive::Entry& entry) {
    if (!objects_.emplace(entry.stored_digest, entry.stored_size).second) return true;
    COLDFRAME_TRY_ASSIGN(const Directory shard, tree_.object_shard(entry.stored_digest, Make::yes));
    return is_intact(shard, object_name(entry.stored_digest), entry.stored_digest, entry.stored_size);
}

Status Publisher::stage_object(const archive::Entry& entry, ByteView bytes) {
    COLDFRAME_TRY_ASSIGN(Pending pending, stage(bytes, entry.stored_digest, durable() && pending_.size() < k_single_syncs));
    pending_.push_back(std::move(pending));
    return {};
}

Status Publisher::add(const archive::PackedPart& object) {
    COLDFRAME_TRY_ASSIGN(const bool known, is_known(object.entry));
    return known ? Status{} : stage_object(object.entry, object.stored);
}

Status Publisher::add(const archive::Entry& entry, const archive::ObjectSource& source) {
    COLDFRAME_TRY_ASSIGN(const bool known, is_known(entry));
    if (known) return {};
    const Result<Bytes> bytes = source.read(entry);
    return bytes ? stage_object(entry, *bytes) : std::unexpected(bytes.error());
}

Result<Published> Publisher::name_file(Pending& pending, const Directory& in, const std::string& name) {
    COLDFRAME_TRY_ASSIGN(const Directory staging, tree_.folder(k_staging));
    Result<Published> published = staging.publish(pending.staged.name, pending.staged.info, in, name);
    if (published && *published == Published::before) {
        COLDFRAME_TRY_ASSIGN(const bool intact, is_intact(in, name, pending.digest, pending.size));
        if (!intact) published = staging.publish(pending.staged.name, pending.staged.info, in, name);
    }
    if (!published) return published;
    if (*published == Published::before) {
        ignore_failure(staging.remove(pending.staged.name));
    } else {
        report_.bytes_written += disk_size(pending.size);
    }
    pending.staged.name.clear();
    return published;
}

Status Publisher::publish_objects() {
    if (durable() && pending_.size() > k_single_syncs) {
        const int result = uninterrupted([&] { return state_.fs.sync_all(tree_.root().fd()); });
        if (result < 0) return std::unexpected(errno_error(-result, "write to disk", tree_.root().path()));
    }
    for (Pending& pending : pending_) {
        COLDFRAME_TRY_ASSIGN(const Directory shard, tree_.object_shard(pending.digest, Make::yes));
        if (Result<Published> published = name_file(pending, shard, object_name(pending.digest)); !published) {
            return std::unexpected(std::move(published.error()));
        }
    }
    return sync_objects();
}

// The names of the objects, and of their directories, before the manifest's.
Status Publisher::sync_objects() {
    if (!durable() || objects_.empty()) return {};
    std::map<std::string, Digest> shards;
    for (const auto& [digest, size] : objects_) shards.try_emplace(shard_name(digest), digest);
    for (const auto& [name, digest] : shards) {
        COLDFRAME_TRY_ASSIGN(const Directory shard, tree_.object_shard(digest));
        if (Status synced = shard.sync(); !synced) return synced;
    }
    COLDFRAME_TRY_ASSIGN(const Directory objects, tree_.folder(k_objects));
    if (Status synced = objects.sync(); !synced) return synced;
    return tree_.root().sync();
}

Status Publisher::sync_manifest(const Directory& in) {
    if (!durable()) return {};
    const Result<Directory> manifests = tree_.folder(k_manifests);
    COLDFRAME_TRY_ASSIGN(const Directory shard,
                         manifests ? tree_.enter(*manifests, shard_name(key_)) : std::unexpected(manifests.error()));
    for (const Directory* directory : {&in, &shard, &*manifests, &tree_.root()}) {
        if (Status synced = directory->sync(); !synced) return synced;
    }
    return {};
}

// A collector may have taken an object between our finding it and the manifest's naming it.
Status Publisher::check_all_there(const Directory& in, const Digest& id, std::uint64_t size) {
    const bool read_back = state_.options.durability == Durability::verified;
    const auto check = [&](const Directory& directory, const std::string& name, const Digest& digest,
                           std::uint64_t expected) -> Status {
        // Opened, for a network file system answers from its memory whether a name is there.
        COLDFRAME_TRY_ASSIGN(const InputFile file, tree_.open_file(directory, name));
        if (file.info().size != expected) return fail(ErrorCode::not_found, "'" + file.path() + "' is not what was written");
        Result<Bytes> bytes = read_back ? read_named(file, digest) : Bytes{};
        return bytes ? Status{} : std::unexpected(std::move(bytes.error()));
    };
    for (const auto& [digest, object_size] : objects_) {
        COLDFRAME_TRY_ASSIGN(const Directory shard, tree_.object_shard(digest));
        if (Status there = check(shard, object_name(digest), digest, object_size); !there) return there;
    }
    return check(in, manifest_name(id), id, size);
}

Result<PutReport> Publisher::publish(const Bytes& manifest) {
    COLDFRAME_TRY(publish_objects());
    report_.key = key_;
    report_.id = sha256(manifest);
    COLDFRAME_TRY_ASSIGN(const Directory directory, tree_.key_directory(key_, Make::yes));
    COLDFRAME_TRY_ASSIGN(Pending pending, stage(manifest, report_.id, durable()));
    pending_.push_back(std::move(pending));
    COLDFRAME_TRY_ASSIGN(const Published published, name_file(pending_.back(), directory, manifest_name(report_.id)));
    report_.added = published == Published::now;
    COLDFRAME_TRY(sync_manifest(directory));
    COLDFRAME_TRY(check_all_there(directory, report_.id, manifest.size()));
    return report_;
}

}  // namespace coldframe::store
