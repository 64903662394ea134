#include <coldframe/remote/directory_remote.hpp>

#include <coldframe/store/disk_state.hpp>
#include <coldframe/util/try.hpp>

namespace coldframe::remote {
namespace {

Status check_time(const Limits& limits) {
    if (std::chrono::steady_clock::now() < limits.latest()) return {};
    return fail(ErrorCode::timeout, "the directory is too slow");
}

Result<Bytes> read_file(const store::Tree& tree, const Directory& in, const std::string& name, std::uint64_t max_size) {
    COLDFRAME_TRY_ASSIGN(const InputFile file, tree.open_file(in, name));
    if (file.info().size > max_size) return fail(ErrorCode::corrupt, "'" + file.path() + "' is too large");
    return file.read_all();
}

}  // namespace

Result<Record> DirectoryRemote::get_record(const Digest& key, const Limits& limits) {
    COLDFRAME_TRY(check_time(limits));
    const Result<store::Tree> tree = open();
    const Result<Directory> directory = tree ? tree->key_directory(key) : std::unexpected(tree.error());
    const Result<std::vector<std::string>> names = directory ? directory->names() : std::unexpected(directory.error());
    if (!names && names.error().code == ErrorCode::not_found) return Record{};
    if (!names) return std::unexpected(names.error());
    Record record;
    for (const std::string& name : *names) {
        const std::optional<Digest> id = store::parse_manifest_name(name);
        const Result<FileInfo> info = id ? directory->look_at(name) : fail(ErrorCode::not_found, "no manifest");
        if (info && record.variants.size() < k_max_variants) record.variants.push_back({{*id, info->size}, {}});
    }
    return record;
}

Result<Bytes> DirectoryRemote::get_manifest(const Digest& key, const Blob& manifest, const Limits& limits) {
    COLDFRAME_TRY(check_time(limits));
    const Result<store::Tree> tree = open();
    COLDFRAME_TRY_ASSIGN(const Directory directory, tree ? tree->key_directory(key) : std::unexpected(tree.error()));
    return read_file(*tree, directory, store::manifest_name(manifest.digest), store::k_max_manifest_size);
}

Result<Bytes> DirectoryRemote::get_object(const Blob& object, const Limits& limits) {
    COLDFRAME_TRY(check_time(limits));
    const Result<store::Tree> tree = open();
    COLDFRAME_TRY_ASSIGN(const Directory shard, tree ? tree->object_shard(object.digest) : std::unexpected(tree.error()));
    return read_file(*tree, shard, store::object_name(object.digest), object.size);
}

Result<bool> DirectoryRemote::has_object(const Blob& object, const Limits& limits) {
    COLDFRAME_TRY(check_time(limits));
    const Result<store::Tree> tree = open();
    const Result<Directory> shard = tree ? tree->object_shard(object.digest) : std::unexpected(tree.error());
    const Result<InputFile> file =
        shard ? tree->open_file(*shard, store::object_name(object.digest)) : std::unexpected(shard.error());
    if (!file && file.error().code == ErrorCode::not_found) return false;
    if (!file) return std::unexpected(file.error());
    // Its age keeps a collector from it until a manifest names it.
    static_cast<void>(uninterrupted([&] { return file->touch(); }));
    return file->info().size == object.size;
}

Status DirectoryRemote::publish(const store::Tree& tree, const Directory& in, const std::string& name, ByteView bytes,
                                Overwrite overwrite) const {
    COLDFRAME_TRY_ASSIGN(const Directory staging, tree.folder(store::k_staging, Make::yes));
    const Result<FileInfo> present = in.look_at(name);
    if (present && (overwrite == Overwrite::yes || present->size != bytes.size())) tree.quarantine(in, name);
    COLDFRAME_TRY_ASSIGN(const store::Tree::Staged staged, tree.stage(staging, bytes, true));
    const Result<Published> published = staging.publish(staged.name, staged.info, in, name);
    if (!published || *published == Published::before) ignore_failure(staging.remove(staged.name));
    if (!published) return std::unexpected(published.error());
    return in.sync();
}

Status DirectoryRemote::put_object(const Blob& object, ByteView bytes, Overwrite overwrite, const Limits& limits) {
    if (Status in_time = check_time(limits); !in_time) return in_time;
    const Result<store::Tree> tree = store::Tree::prepare(Fs::real(), path_, owner_check_);
    COLDFRAME_TRY_ASSIGN(const Directory shard,
                         tree ? tree->object_shard(object.digest, Make::yes) : std::unexpected(tree.error()));
    return publish(*tree, shard, store::object_name(object.digest), bytes, overwrite);
}

Status DirectoryRemote::put_manifest(const Digest& key, const Listed& variant, ByteView bytes, Overwrite overwrite,
                                     const Limits& limits) {
    if (Status in_time = check_time(limits); !in_time) return in_time;
    const Result<store::Tree> tree = store::Tree::prepare(Fs::real(), path_, owner_check_);
    COLDFRAME_TRY_ASSIGN(const Directory directory, tree ? tree->key_directory(key, Make::yes) : std::unexpected(tree.error()));
    const std::string name = store::manifest_name(variant.manifest.digest);
    if (Status published = publish(*tree, directory, name, bytes, overwrite); !published) return published;
    // A collector may have taken an object meanwhile.
    for (const Blob& object : variant.objects) {
        COLDFRAME_TRY_ASSIGN(const bool there, has_object(object, limits));
        if (!there) return fail(ErrorCode::not_found, "the object " + to_hex(object.digest) + " is gone again");
    }
    return {};
}

Status DirectoryRemote::keep(const Digest& key, const Listed& variant, const Limits&) {
    const Result<store::Tree> tree = open();
    const Result<Directory> directory = tree ? tree->key_directory(key) : std::unexpected(tree.error());
    COLDFRAME_TRY_ASSIGN(const InputFile file, directory
                                                   ? tree->open_file(*directory, store::manifest_name(variant.manifest.digest))
                                                   : std::unexpected(directory.error()));
    static_cast<void>(uninterrupted([&] { return file.touch(); }));
    return {};
}

// Hosts that share a directory lock its files as processes that share a store do.
store::Joined DirectoryRemote::join(const Digest& key, const RemoteJoin& how) {
    store::DiskState state(path_, {.owner_check = owner_check_});
    return store::join_flight(state, key, how.options);
}

}  // namespace coldframe::remote
