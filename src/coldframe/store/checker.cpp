// fsck: every byte of a disk store against its name, every manifest against what it names.
#include <coldframe/store/objects.hpp>
#include <coldframe/store/walk.hpp>
#include <coldframe/util/try.hpp>

#include <unordered_set>

namespace coldframe::store {
namespace {

bool is_absent(const Error& error) { return error.code == ErrorCode::not_found; }

class Checker {
   public:
    Checker(const std::shared_ptr<DiskState>& state, const Tree& tree, Repair repair, const Progress& progress)
        : state_(state), tree_(tree), repair_(repair), progress_(progress) {}

    Result<CheckReport> run() {
        check_format();
        // Objects first: a manifest is complete when what it names is intact.
        COLDFRAME_TRY(walk_objects());
        COLDFRAME_TRY(walk_manifests());
        return std::move(report_);
    }

   private:
    void check_format() {
        const Status format = tree_.check_format();
        if (format) return;
        problem(tree_.root(), k_format, format.error());
        if (repair_ == Repair::yes) ignore_failure(tree_.write_format());
    }

    Status walk_objects() {
        Walk walk(tree_);
        walk.on_object = [&](const Directory& in, const Digest& digest) { check_object(in, digest); };
        walk.on_stranger = [&](const Directory& in, const std::string& name, const Error& error) { problem(in, name, error); };
        return walk.run();
    }

    Status walk_manifests() {
        Walk walk(tree_);
        walk.on_manifest = [&](const Directory& in, const Digest& key, const Digest& id) {
            const Result<std::uint64_t> size = check_manifest(in, key, id);
            if (size) {
                ++report_.usage.variants;
                count(*size);
            } else if (!is_absent(size.error()) || in.look_at(manifest_name(id))) {
                problem(in, manifest_name(id), size.error());
            }
        };
        return walk.run();
    }

    void check_object(const Directory& in, const Digest& digest) {
        const std::string name = object_name(digest);
        const Result<InputFile> file = tree_.open_file(in, name);
        const Result<Bytes> bytes = file ? read_named(*file, digest) : std::unexpected(file.error());
        if (bytes) {
            intact_.insert(digest);
            ++report_.usage.objects;
            count(bytes->size());
        } else if (!is_absent(bytes.error())) {
            problem(in, name, bytes.error());
        }
    }

    Result<std::uint64_t> check_manifest(const Directory& in, const Digest& key, const Digest& id) {
        COLDFRAME_TRY_ASSIGN(const InputFile file, tree_.open_file(in, manifest_name(id)));
        if (file.info().size > k_max_manifest_size) return fail(ErrorCode::corrupt, "'" + file.path() + "' is too large");
        COLDFRAME_TRY_ASSIGN(Bytes bytes, read_named(file, id));
        COLDFRAME_TRY_ASSIGN(const auto reader,
                             archive::open_detached(std::move(bytes), file.path(), std::make_shared<StoredObjects>(state_)));
        for (const archive::Entry& entry : reader->entries()) {
            if (!entry.is_detached() || is_there(entry)) continue;
            return fail(ErrorCode::not_found, "the object " + to_hex(entry.stored_digest) + " is missing");
        }
        COLDFRAME_TRY(reader->verify());
        COLDFRAME_TRY_ASSIGN(const Package package, reader->package());
        if (key_digest(package) != key) {
            return fail(ErrorCode::corrupt, "'" + file.path() + "' belongs to another key");
        }
        return file.info().size;
    }

    void count(std::uint64_t size) {
        report_.usage.bytes += disk_size(size);
        if (progress_) progress_(report_.usage.bytes);
    }

    // Intact, or written since the objects were gone through.
    bool is_there(const archive::Entry& entry) {
        if (intact_.contains(entry.stored_digest)) return true;
        const Result<Directory> shard = tree_.object_shard(entry.stored_digest);
        const Result<InputFile> file =
            shard ? tree_.open_file(*shard, object_name(entry.stored_digest)) : std::unexpected(shard.error());
        return file && read_named(*file, entry.stored_digest);
    }

    void problem(const Directory& in, const std::string& name, const Error& error) {
        report_.problems.push_back({in.path_of(name), error});
        const bool for_newer = error.code == ErrorCode::unsupported || error.code == ErrorCode::io;
        if (repair_ == Repair::yes && !for_newer && tree_.quarantine(in, name)) ++report_.repaired;
    }

    const std::shared_ptr<DiskState>& state_;
    const Tree& tree_;
    Repair repair_;
    const Progress& progress_;
    std::unordered_set<Digest, DigestHash> intact_;
    CheckReport report_;
};

}  // namespace

Result<CheckReport> DiskStore::check(Repair repair, const Progress& progress) {
    if (repair == Repair::yes && state_->read_only()) {
        return fail(ErrorCode::io, "the store '" + path() + "' was opened for reading only");
    }
    const Result<Tree> tree = state_->tree();
    if (!tree && is_absent(tree.error())) return CheckReport{};
    if (!tree) return std::unexpected(tree.error());
    return Checker(state_, *tree, repair, progress).run();
}

}  // namespace coldframe::store
