#include <coldframe/util/directory.hpp>

#include <fcntl.h>

#include <cerrno>

namespace coldframe {
namespace {

constexpr std::uint32_t k_directory_permissions = 0700;
constexpr int k_stale_retries = 3;
constexpr int k_taken_retries = 8;

// On a network file system a name may have been looked up before another host replaced it: looking again helps.
template <typename Call>
auto fresh(Call&& call) {
    auto result = uninterrupted(call);
    for (int i = 0; result == -ESTALE && i < k_stale_retries; ++i) result = uninterrupted(call);
    return result;
}

// A name opened and examined, for what was opened may be gone as soon as it is.
int open_known(Fs& fs, int directory, const std::string& name, int flags, FileInfo& info) {
    return fresh([&] {
        const int fd = uninterrupted([&] { return fs.open_at(directory, name, flags | O_CLOEXEC, 0); });
        if (fd < 0) return fd;
        const int known = uninterrupted([&] { return fs.stat(fd, info); });
        if (known < 0) static_cast<void>(fs.close(fd));
        return known < 0 ? known : fd;
    });
}

// The names under which NFS and FUSE keep what was removed while a host has it open. They are the file system's own: it removes
// them, and who else does so takes the file from under that host.
bool is_kept_open(const std::string& name) { return name.starts_with(".nfs") || name.starts_with(".fuse_hidden"); }

std::unexpected<Error> errno_failure(int result, std::string_view action, const std::string& path) {
    return std::unexpected(errno_error(-result, action, path));
}

}  // namespace

Result<Directory> Directory::open(Fs& fs, const std::string& path) {
    FileInfo info;
    const int fd = open_known(fs, k_by_path, path, O_RDONLY | O_DIRECTORY, info);
    if (fd < 0) return errno_failure(fd, "open the directory", path);
    return Directory(fs, fd, info, path);
}

Result<Directory> Directory::enter(const std::string& name, Make make) const {
    constexpr int k_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    FileInfo info;
    int fd = open_known(*fs_, fd_.get(), name, k_flags, info);
    if (fd == -ENOENT && make == Make::yes) {
        const int made = uninterrupted([&] { return fs_->make_directory_at(fd_.get(), name, k_directory_permissions); });
        if (made < 0 && made != -EEXIST) return errno_failure(made, "make the directory", path_of(name));
        fd = open_known(*fs_, fd_.get(), name, k_flags, info);
    }
    if (fd == -ENOTDIR || fd == -ELOOP) {
        return fail(ErrorCode::untrusted,
                    "'" + path_of(name) + "' is not a directory, though there should be one: remove it if you do not need it");
    }
    if (fd < 0) return errno_failure(fd, "open the directory", path_of(name));
    return Directory(*fs_, fd, info, path_of(name));
}

Result<Directory> Directory::parent() const {
    FileInfo info;
    const int fd = open_known(*fs_, fd_.get(), "..", O_RDONLY | O_DIRECTORY, info);
    if (fd < 0) return errno_failure(fd, "open the directory above", path_);
    return Directory(*fs_, fd, info, path_ + "/..");
}

Result<InputFile> Directory::open_file(const std::string& name) const {
    FileInfo info;
    const int fd = open_known(*fs_, fd_.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, info);
    // A link, and a socket or a device that nobody serves.
    if (fd == -ELOOP || fd == -ENXIO) return fail(ErrorCode::corrupt, "'" + path_of(name) + "' is not a regular file");
    if (fd < 0) return errno_failure(fd, "open", path_of(name));
    InputFile file = InputFile::adopt(*fs_, fd, info, path_of(name));
    if (info.kind != FileKind::regular) return fail(ErrorCode::corrupt, "'" + path_of(name) + "' is not a regular file");
    return file;
}

Result<FileInfo> Directory::look_at(const std::string& name) const {
    FileInfo info;
    const int result = fresh([&] { return fs_->stat_at(fd_.get(), name, info); });
    if (result < 0) return errno_failure(result, "examine", path_of(name));
    return info;
}

Result<std::vector<std::string>> Directory::names() const {
    std::vector<std::string> names;
    const int result = fresh([&] { return fs_->list(fd_.get(), names); });
    if (result < 0) return errno_failure(result, "list", path_);
    std::erase_if(names, is_kept_open);
    return names;
}

Status Directory::write_new(int fd, const std::string& name, ByteView bytes, bool synced, FileInfo& info) const {
    FileDescriptor file(*fs_, fd);
    if (Status written = write_all(*fs_, fd, 0, bytes, path_of(name)); !written) return written;
    if (synced) {
        // A failed sync is final: the kernel may have dropped the data.
        const int result = uninterrupted([&] { return fs_->sync(fd); });
        if (result < 0) return errno_failure(result, "write to disk", path_of(name));
    }
    const int result = fresh([&] { return fs_->stat(fd, info); });
    if (result < 0) return errno_failure(result, "examine", path_of(name));
    // Network file systems and quotas report here what did not fit.
    if (const int closed = file.close(); closed < 0) return errno_failure(closed, "close", path_of(name));
    return {};
}

Result<FileInfo> Directory::create(const std::string& name, ByteView bytes, std::uint32_t permissions, bool synced) const {
    constexpr int k_flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const int fd = uninterrupted([&] { return fs_->open_at(fd_.get(), name, k_flags, permissions); });
    if (fd < 0) return errno_failure(fd, "create", path_of(name));
    FileInfo info;
    if (Status written = write_new(fd, name, bytes, synced, info); !written) {
        ignore_failure(remove(name));
        return std::unexpected(std::move(written.error()));
    }
    return info;
}

Result<Published> Directory::publish(const std::string& name, const FileInfo& created, const Directory& to,
                                     const std::string& as) const {
    int result = 0;
    for (int i = 0; i < k_taken_retries; ++i) {
        result = uninterrupted([&] { return fs_->rename_at(fd_.get(), name, to.fd(), as, Replace::no); });
        if (result == -EINVAL || result == -ENOSYS || result == -ENOTSUP) {
            result = uninterrupted([&] { return fs_->link_at(fd_.get(), name, to.fd(), as); });
            if (result == 0) ignore_failure(remove(name));
        }
        if (result == 0) return Published::now;
        // A repeated request to a file server may have succeeded the first time: what counts is what lies there.
        const Result<FileInfo> there = to.look_at(as);
        if (there) {
            const bool ours = there->inode == created.inode && there->device == created.device;
            if (ours) ignore_failure(remove(name));
            if (ours || result == -EEXIST) return ours ? Published::now : Published::before;
        }
        // What lay there has been collected between our two calls: its place is free.
        const bool taken = result == -EEXIST && !there && there.error().code == ErrorCode::not_found;
        if (!taken) break;
    }
    return errno_failure(result, "publish", to.path_of(as));
}

Status Directory::move(const std::string& name, const Directory& to, const std::string& as) const {
    int result = uninterrupted([&] { return fs_->rename_at(fd_.get(), name, to.fd(), as, Replace::no); });
    if (result == -EINVAL || result == -ENOSYS || result == -ENOTSUP) {
        result = uninterrupted([&] { return fs_->rename_at(fd_.get(), name, to.fd(), as, Replace::yes); });
    }
    if (result < 0) return errno_failure(result, "move", path_of(name));
    return {};
}

Status Directory::move_aside(const std::string& name, const Directory& to, const std::string& unique) const {
    Status moved = move(name, to, unique);
    return !moved && to.look_at(unique) ? Status{} : moved;
}

Status Directory::remove(const std::string& name) const {
    const int result = uninterrupted([&] { return fs_->unlink_at(fd_.get(), name); });
    if (result < 0) return errno_failure(result, "remove", path_of(name));
    return {};
}

Status Directory::remove_directory(const std::string& name) const {
    const int result = uninterrupted([&] { return fs_->remove_directory_at(fd_.get(), name); });
    if (result < 0) return errno_failure(result, "remove", path_of(name));
    return {};
}

Status Directory::sync() const {
    const int result = uninterrupted([&] { return fs_->sync(fd_.get()); });
    // Some file systems cannot sync a directory and say so; on those a rename is as durable as it gets.
    if (result < 0 && result != -EINVAL && result != -ENOTSUP) return errno_failure(result, "write to disk", path_);
    return {};
}

}  // namespace coldframe
