#include <coldframe/store/objects.hpp>

#include <coldframe/util/try.hpp>

namespace coldframe::store {
namespace {

constexpr int k_max_held_descriptors = 256;  // of one store: a quarter of what a process commonly may have

bool is_damage(const Error& error) { return error.code == ErrorCode::corrupt || error.code == ErrorCode::untrusted; }

}  // namespace

Result<Bytes> read_named(const InputFile& file, const Digest& digest) {
    Result<Bytes> bytes = file.read_all();
    if (bytes && sha256(*bytes) != digest) {
        return fail(ErrorCode::corrupt, "'" + file.path() + "' is damaged: its bytes are not those of its name");
    }
    return bytes;
}

Result<InputFile> open_object(DiskState& state, const Tree& tree, const Digest& digest, std::uint64_t size) {
    COLDFRAME_TRY_ASSIGN(const Directory shard, tree.object_shard(digest));
    const std::string name = object_name(digest);
    Result<InputFile> file = tree.open_file(shard, name);
    if (file && file->info().size != size) {
        file = fail(ErrorCode::corrupt,
                    "'" + file->path() + "' has " + std::to_string(file->info().size) + " bytes, not " + std::to_string(size));
    }
    if (!file && is_damage(file.error())) state.quarantine(tree, shard, name);
    return file;
}

StoredObjects::~StoredObjects() { state_->held_descriptors -= static_cast<int>(held_.size()); }

Status StoredObjects::find(const Tree& tree, std::span<const archive::Entry> entries) {
    for (const archive::Entry& entry : entries) {
        if (!entry.is_detached()) continue;
        if (Status found = find_one(tree, entry); !found) return found;
    }
    return {};
}

Status StoredObjects::find_one(const Tree& tree, const archive::Entry& entry) {
    if (held_.contains(entry.stored_digest)) return {};
    COLDFRAME_TRY_ASSIGN(InputFile file, open_object(*state_, tree, entry.stored_digest, entry.stored_size));
    if (state_->held_descriptors.fetch_add(1) >= k_max_held_descriptors) {
        --state_->held_descriptors;
        return {};
    }
    held_.emplace(entry.stored_digest, std::move(file));
    return {};
}

Result<Bytes> StoredObjects::read(const archive::Entry& entry) const {
    if (const auto held = held_.find(entry.stored_digest); held != held_.end()) {
        Result<Bytes> bytes = read_verified(held->second, entry);
        // A file server does not keep what another host has removed; it may have been put again.
        if (bytes || bytes.error().code != ErrorCode::io) return bytes;
    }
    COLDFRAME_TRY_ASSIGN(const Tree tree, state_->tree());
    COLDFRAME_TRY_ASSIGN(const InputFile file, open_object(*state_, tree, entry.stored_digest, entry.stored_size));
    return read_verified(file, entry);
}

Result<Bytes> StoredObjects::read_verified(const InputFile& file, const archive::Entry& entry) const {
    Result<Bytes> bytes = read_named(file, entry.stored_digest);
    if (bytes) {
        state_->counters.add(Counter::bytes_read, bytes->size());
        return bytes;
    }
    if (!is_damage(bytes.error())) return bytes;
    state_->counters.add(Counter::refused_corrupt);
    const Result<Tree> tree = state_->tree();
    const Result<Directory> shard = tree ? tree->object_shard(entry.stored_digest) : std::unexpected(tree.error());
    if (!shard) return bytes;
    // Only the file that was read: another process may have healed it since.
    const std::string name = object_name(entry.stored_digest);
    const Result<FileInfo> there = shard->look_at(name);
    if (there && there->inode == file.info().inode) state_->quarantine(*tree, *shard, name);
    return bytes;
}

}  // namespace coldframe::store
