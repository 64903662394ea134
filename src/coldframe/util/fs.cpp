#include <coldframe/util/fs.hpp>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
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
    return FileKind::other;
}

class PosixFs final : public Fs {
   public:
    int open(const std::string& path, int flags, std::uint32_t permissions) override {
        return or_errno(::open(path.c_str(), flags, static_cast<mode_t>(permissions)));
    }

    int stat(int fd, FileInfo& info) override {
        struct stat status{};
        if (::fstat(fd, &status) != 0) return -errno;
        info.kind = kind_of(status.st_mode);
        info.size = static_cast<std::uint64_t>(status.st_size);
        info.owner = status.st_uid;
        info.permissions = status.st_mode & 07777;
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
};

}  // namespace

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
