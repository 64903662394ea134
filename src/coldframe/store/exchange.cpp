// A disk store's variants as they lie there: read to be brought elsewhere, and put where they come from elsewhere.
#include <coldframe/store/objects.hpp>
#include <coldframe/store/publisher.hpp>
#include <coldframe/util/try.hpp>

#include <set>

namespace coldframe::store {

Result<StoredVariant> DiskStore::read_variant(const Digest& key, const Digest& id) {
    const Result<Tree> tree = state_->tree();
    const Result<Directory> directory = tree ? tree->key_directory(key) : std::unexpected(tree.error());
    COLDFRAME_TRY_ASSIGN(const InputFile file,
                         directory ? tree->open_file(*directory, manifest_name(id)) : std::unexpected(directory.error()));
    if (file.info().size > k_max_manifest_size) return fail(ErrorCode::corrupt, "'" + file.path() + "' is too large");
    COLDFRAME_TRY_ASSIGN(Bytes manifest, read_named(file, id));
    COLDFRAME_TRY_ASSIGN(archive::EntryTable table, archive::decode_entries(manifest, manifest.size()));
    StoredVariant variant{std::move(manifest), {}};
    std::set<Digest> seen;
    for (const archive::Entry& entry : table.entries) {
        if (entry.is_detached() && seen.insert(entry.stored_digest).second) variant.objects.push_back(entry);
    }
    return variant;
}

Result<Bytes> DiskStore::read_object(const archive::Entry& object) {
    COLDFRAME_TRY_ASSIGN(const Tree tree, state_->tree());
    COLDFRAME_TRY_ASSIGN(const InputFile file, open_object(*state_, tree, object.stored_digest, object.stored_size));
    return read_named(file, object.stored_digest);
}

Result<PutReport> DiskStore::put_variant(const Digest& key, const Bytes& manifest, std::span<const archive::Entry> entries,
                                         const archive::ObjectSource& objects) {
    return publish(key, [&](Publisher& publisher) -> Result<Bytes> {
        for (const archive::Entry& entry : entries) {
            if (!entry.is_detached()) continue;
            if (Status added = publisher.add(entry, objects); !added) return std::unexpected(std::move(added.error()));
        }
        return manifest;
    });
}

}  // namespace coldframe::store
