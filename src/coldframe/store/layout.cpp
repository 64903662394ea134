#include <coldframe/store/layout.hpp>

#include <coldframe/util/try.hpp>

#include <algorithm>
#include <cerrno>

namespace coldframe::store {
namespace {

constexpr std::string_view k_format_text = "coldframe store 1\n";
constexpr std::string_view k_format_start = "coldframe store ";
constexpr std::string_view k_temporary_prefix = ".coldframe-";
// As https://bford.info/cachedir/ wants it: backups leave such directories out.
constexpr std::string_view k_tag_text =
    "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache of coldframe. It may be removed at any time.\n";
constexpr std::uint32_t k_root_permissions = 0700;
constexpr std::uint32_t k_group_or_other_write = 022;
constexpr std::uint32_t k_sticky = 01000;
constexpr std::uint64_t k_max_links = 2;  // a file that is being published by linking has two names for a moment
constexpr int k_max_depth = 256;

ByteView view(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

// What lies in it survives a power loss only if its own name does.
Status sync_name(Fs& fs, const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string above = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    COLDFRAME_TRY_ASSIGN(const Directory directory, Directory::open(fs, above));
    return directory.sync();
}

// Makes the directories of `path` that are not there, each for this user alone.
Status make_path(Fs& fs, const std::string& path) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string prefix = path.substr(0, end);
        const int made = uninterrupted([&] { return fs.make_directory_at(k_by_path, prefix, k_root_permissions); });
        if (made < 0 && made != -EEXIST && (end == std::string::npos || made != -EROFS)) {
            return std::unexpected(errno_error(-made, "make the directory", prefix));
        }
        if (made == 0) {
            if (Status synced = sync_name(fs, prefix); !synced) return synced;
        }
        if (end == std::string::npos) return {};
    }
}

}  // namespace

std::string object_name(const Digest& digest) { return to_hex(digest); }
std::string manifest_name(const Digest& id) { return to_hex(id) + ".m"; }
std::string shard_name(const Digest& digest) { return to_hex(digest).substr(0, 2); }

std::optional<Digest> parse_manifest_name(std::string_view name) {
    if (!name.ends_with(".m")) return std::nullopt;
    return digest_from_hex(name.substr(0, name.size() - 2));
}

Result<Tree> Tree::open(Fs& fs, const std::string& path, archive::OwnerCheck owner_check) {
    COLDFRAME_TRY_ASSIGN(Directory root, Directory::open(fs, path));
    Tree tree(std::move(root), owner_check);
    COLDFRAME_TRY(tree.check(tree.root_.info(), path));
    return tree;
}

Result<Tree> Tree::prepare(Fs& fs, const std::string& path, archive::OwnerCheck owner_check) {
    Result<Tree> tree = open(fs, path, owner_check);
    if (!tree && tree.error().code == ErrorCode::not_found) {
        COLDFRAME_TRY(make_path(fs, path));
        tree = open(fs, path, owner_check);
    }
    if (!tree) return tree;
    Status format = tree->check_format();
    if (!format && format.error().code == ErrorCode::not_found) {
        format = tree->check_ancestors();
        if (format) format = tree->make_format();
    }
    if (!format) return std::unexpected(std::move(format.error()));
    return tree;
}

Status Tree::check(const FileInfo& info, const std::string& path) const {
    if (owner_check_ == archive::OwnerCheck::skip) return {};
    return archive::check_owner(info, fs().effective_user(), path);
}

Status Tree::check_ancestors() const {
    if (owner_check_ == archive::OwnerCheck::skip) return {};
    const std::uint32_t user = fs().effective_user();
    Result<Directory> above = root_.parent();
    FileInfo below = root_.info();
    for (int depth = 0; above && depth < k_max_depth; ++depth) {
        const FileInfo info = above->info();
        if (info.inode == below.inode && info.device == below.device) return {};
        const bool writable = (info.permissions & k_group_or_other_write) != 0 && (info.permissions & k_sticky) == 0;
        if (writable || (info.owner != user && info.owner != 0)) {
            return fail(ErrorCode::untrusted, "others may replace '" + root_.path() + "', because '" + above->path() +
                                                  "' is theirs to write, and loading a package runs its code: take another "
                                                  "directory, or chmod go-w that one");
        }
        below = info;
        above = above->parent();
    }
    if (!above) return std::unexpected(std::move(above.error()));
    return fail(ErrorCode::untrusted, "'" + root_.path() + "' lies too deep");
}

Status Tree::check_format() const {
    COLDFRAME_TRY_ASSIGN(const InputFile file, open_file(root_, k_format));
    Bytes bytes(static_cast<std::size_t>(std::min<std::uint64_t>(file.info().size, 64)));
    if (Status read = file.read_at(0, bytes); !read) return read;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text == k_format_text) return {};
    if (text.starts_with(k_format_start) && text.ends_with('\n')) {
        return fail(ErrorCode::unsupported, "the store '" + root_.path() + "' is of a newer version: use a newer coldframe");
    }
    return fail(ErrorCode::corrupt, "'" + file.path() + "' is damaged: coldframe fsck --repair writes it anew");
}

Status Tree::make_format() const {
    COLDFRAME_TRY_ASSIGN(const std::vector<std::string> names, root_.names());
    const auto ours = [](const std::string& name) {
        return name.starts_with(k_temporary_prefix) || name == k_tag || name == "lost+found";
    };
    if (std::ranges::find(names, k_format) != names.end()) {
        // Just made by another host, which a network file system can deny for a while. To be told so by a name's being taken
        // makes it look again.
        if (Status written = write_format(); !written) return written;
        return check_format();
    }
    if (!std::ranges::all_of(names, ours)) {
        // Another process may have made it meanwhile. Then FORMAT was there before anything else, listed or not.
        if (Status format = check_format(); format || format.error().code != ErrorCode::not_found) return format;
        return fail(ErrorCode::invalid_argument,
                    "'" + root_.path() + "' is not empty and no store: name an empty directory, or one that does not exist");
    }
    return write_format();
}

Status Tree::write_format() const {
    const auto write = [&](const char* name, std::string_view text) -> Status {
        COLDFRAME_TRY_ASSIGN(const std::string unique, unique_name(fs()));
        const std::string temporary = std::string(k_temporary_prefix) + unique;
        COLDFRAME_TRY_ASSIGN(const FileInfo created, root_.create(temporary, view(text), k_file_permissions, true));
        const Result<Published> published = root_.publish(temporary, created, root_, name);
        if (!published || *published == Published::before) ignore_failure(root_.remove(temporary));
        if (!published) return std::unexpected(published.error());
        return {};
    };
    ignore_failure(write(k_tag, k_tag_text));  // a convenience
    if (Status written = write(k_format, k_format_text); !written) return written;
    return root_.sync();
}

Result<Directory> Tree::enter(const Directory& from, const std::string& name, Make make) const {
    Result<Directory> directory = from.enter(name, make);
    if (!directory) return directory;
    COLDFRAME_TRY(check(directory->info(), directory->path()));
    return directory;
}

Result<Directory> Tree::folder(const char* name, Make make) const { return enter(root_, name, make); }

Result<Directory> Tree::object_shard(const Digest& object, Make make) const {
    COLDFRAME_TRY_ASSIGN(const Directory objects, folder(k_objects, make));
    return enter(objects, shard_name(object), make);
}

Result<Directory> Tree::key_directory(const Digest& key, Make make) const {
    COLDFRAME_TRY_ASSIGN(const Directory manifests, folder(k_manifests, make));
    COLDFRAME_TRY_ASSIGN(const Directory shard, enter(manifests, shard_name(key), make));
    return enter(shard, to_hex(key), make);
}

Result<InputFile> Tree::open_file(const Directory& in, const std::string& name) const {
    Result<InputFile> file = in.open_file(name);
    if (!file) return file;
    COLDFRAME_TRY(check(file->info(), file->path()));
    if (file->info().links > k_max_links) {
        return fail(ErrorCode::untrusted, "'" + file->path() + "' has other names too: it is a file of something else");
    }
    return file;
}

bool Tree::quarantine(const Directory& in, const std::string& name) const {
    const Result<Directory> bad = folder(k_bad, Make::yes);
    const Result<std::string> unique = unique_name(fs());
    return bad && unique && in.move_aside(name, *bad, name + "." + *unique).has_value();
}

Result<Tree::Staged> Tree::stage(const Directory& staging, ByteView bytes, bool synced) const {
    COLDFRAME_TRY_ASSIGN(std::string name, unique_name(fs()));
    COLDFRAME_TRY_ASSIGN(const FileInfo info, staging.create(name, bytes, k_file_permissions, synced));
    return Staged{std::move(name), info};
}

}  // namespace coldframe::store
