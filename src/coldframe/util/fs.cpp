#include <coldframe/util/fs.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <system_error>

namespace coldframe {
namespace {

template <typename Number>
Number or_errno(Number result) {
    return result < 0 ? static_cast<Number>(-errno) : result;
}

FileKind kind_of(mode_t mode) {
    if (S_ISREG(mode)) return FileKind::regular;
    if (S_ISDIR(mode)) return FileKind::directory;
    if (S_ISFIFO(mode)) return FileKind::fifo;
    if (S_ISLNK(mode)) return FileKind::link;
    return FileKind::other;
}

FileInfo info_of(const struct stat& status) {
    FileInfo info;
    info.kind = kind_of(status.st_mode);
    info.size = static_cast<std::uint64_t>(status.st_size);
    info.owner = status.st_uid;
    info.permissions = status.st_mode & 07777;
    info.modified = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    info.device = status.st_dev;
    info.inode = status.st_ino;
    info.links = status.st_nlink;
    return info;
}

// Adds the names in a buffer that getdents64 has filled; the kernel's records follow each other without a hole.
void add_names(const char* buffer, std::size_t size, std::vector<std::string>& names) {
    for (std::size_t offset = 0; offset < size;) {
        unsigned short length = 0;
        std::memcpy(&length, buffer + offset + offsetof(dirent64, d_reclen), sizeof length);
        const std::string_view name(buffer + offset + offsetof(dirent64, d_name));
        if (name != "." && name != "..") names.emplace_back(name);
        offset += length;
    }
}

class PosixFs final : public Fs {
   public:
    int open(const std::string& path, int flags, std::uint32_t permissions) override {
        return or_errno(::open(path.c_str(), flags, static_cast<mode_t>(permissions)));
    }

    int stat(int fd, FileInfo& info) override {
        struct stat status{};
        if (::fstat(fd, &status) != 0) return -errno;
        info = info_of(status);
        return 0;
    }

    std::int64_t read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) override {
        return or_errno(std::int64_t{::pread(fd, out.data(), out.size(), static_cast<off_t>(offset))});
    }

    std::int64_t write_at(int fd, ByteView bytes, std::uint64_t offset) override {
        return or_errno(std::int64_t{::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset))});
    }

    int sync(int fd) override { return or_errno(::fsync(fd)); }
    int close(int fd) override { return or_errno(::close(fd)); }
    int rename(const std::string& from, const std::string& to) override {
        return or_errno(std::rename(from.c_str(), to.c_str()));
    }
    int unlink(const std::string& path) override { return or_errno(::unlink(path.c_str())); }
    std::int64_t random(std::span<std::uint8_t> out) override {
        return or_errno(std::int64_t{::getrandom(out.data(), out.size(), 0)});
    }
    std::uint32_t effective_user() override { return ::geteuid(); }

    std::string host_name() override {
        std::array<char, 65> name{};
        if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
        return name.data();
    }

    int open_at(int directory, const std::string& name, int flags, std::uint32_t permissions) override {
        return or_errno(::openat(directory, name.c_str(), flags, static_cast<mode_t>(permissions)));
    }

    int stat_at(int directory, const std::string& name, FileInfo& info) override {
        struct stat status{};
        if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
        info = info_of(status);
        return 0;
    }

    int list(int directory, std::vector<std::string>& names) override {
        names.clear();
        if (::lseek(directory, 0, SEEK_SET) < 0) return -errno;
        alignas(dirent64) std::array<char, 32768> buffer;
        for (;;) {
            const ssize_t size = ::getdents64(directory, buffer.data(), buffer.size());
            if (size < 0) return -errno;
            if (size == 0) return 0;
            add_names(buffer.data(), static_cast<std::size_t>(size), names);
        }
    }

    int make_directory_at(int directory, const std::string& name, std::uint32_t permissions) override {
        return or_errno(::mkdirat(directory, name.c_str(), static_cast<mode_t>(permissions)));
    }
    int remove_directory_at(int directory, const std::string& name) override {
        return or_errno(::unlinkat(directory, name.c_str(), AT_REMOVEDIR));
    }
    int rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                  Replace replace) override {
        const unsigned flags = replace == Replace::yes ? 0 : RENAME_NOREPLACE;
        return or_errno(::renameat2(from_directory, from.c_str(), to_directory, to.c_str(), flags));
    }
    int link_at(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
        return or_errno(::linkat(from_directory, from.c_str(), to_directory, to.c_str(), 0));
    }
    int unlink_at(int directory, const std::string& name) override { return or_errno(::unlinkat(directory, name.c_str(), 0)); }
    int touch(int fd) override { return or_errno(::futimens(fd, nullptr)); }
    int sync_all(int fd) override { return or_errno(::syncfs(fd)); }

    int space(int fd, FileSpace& space) override {
        struct statvfs status{};
        if (::fstatvfs(fd, &status) != 0) return -errno;
        space.free = std::uint64_t{status.f_bavail} * status.f_frsize;
        space.total = std::uint64_t{status.f_blocks} * status.f_frsize;
        return 0;
    }

    int try_lock(int fd) override { return or_errno(::flock(fd, LOCK_EX | LOCK_NB)); }
};

static_assert(k_by_path == AT_FDCWD);

}  // namespace

int Fs::open_at(int, const std::string&, int, std::uint32_t) { return -ENOSYS; }
int Fs::stat_at(int, const std::string&, FileInfo&) { return -ENOSYS; }
int Fs::list(int, std::vector<std::string>&) { return -ENOSYS; }
int Fs::make_directory_at(int, const std::string&, std::uint32_t) { return -ENOSYS; }
int Fs::remove_directory_at(int, const std::string&) { return -ENOSYS; }
int Fs::rename_at(int, const std::string&, int, const std::string&, Replace) { return -ENOSYS; }
int Fs::link_at(int, const std::string&, int, const std::string&) { return -ENOSYS; }
int Fs::unlink_at(int, const std::string&) { return -ENOSYS; }
int Fs::touch(int) { return -ENOSYS; }
int Fs::sync_all(int) { return -ENOSYS; }
int Fs::space(int, FileSpace&) { return -ENOSYS; }
int Fs::try_lock(int) { return -ENOSYS; }

Fs& Fs::real() {
    static PosixFs fs;
    return fs;
}

Error errno_error(int error_number, std::string_view action, std::string_view path) {
    ErrorCode code = ErrorCode::io;
    if (error_number == ENOSPC || error_number == EDQUOT) code = ErrorCode::no_space;
    if (error_number == ENOENT || error_number == ENOTDIR) code = ErrorCode::not_found;
    std::string message = "cannot ";
    message.append(action).append(" '").append(path).append("': ");
    message += std::generic_category().message(error_number);
    return {code, std::move(message), {}};
}

}  // namespace coldframe
