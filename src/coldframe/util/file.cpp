#include <coldframe/util/file.hpp>

#include <coldframe/util/try.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace coldframe {
namespace {

// One call moves at most this much, as Linux does anyhow.
constexpr std::size_t k_max_transfer = std::size_t{1} << 30;

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Status write_all(Fs& fs, int fd, std::uint64_t offset, ByteView bytes, std::string_view path) {
    while (!bytes.empty()) {
        const ByteView chunk = bytes.first(std::min(bytes.size(), k_max_transfer));
        const std::int64_t count = uninterrupted([&] { return fs.write_at(fd, chunk, offset); });
        if (count < 0) return std::unexpected(errno_error(static_cast<int>(-count), "write", path));
        if (count == 0) return std::unexpected(errno_error(EIO, "write", path));
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Result<std::string> unique_name(Fs& fs) {
    std::array<std::uint8_t, 16> random{};
    std::size_t filled = 0;
    while (filled < random.size()) {
        const std::int64_t count = uninterrupted([&] { return fs.random(std::span(random).subspan(filled)); });
        if (count <= 0) return std::unexpected(errno_error(static_cast<int>(-count), "get", "random bytes"));
        filled += static_cast<std::size_t>(count);
    }
    std::string name = fs.host_name() + "-" + std::to_string(::getpid()) + "-";
    for (const std::uint8_t byte : random) {
        name += "0123456789abcdef"[byte >> 4];
        name += "0123456789abcdef"[byte & 15];
    }
    return name;
}

FileDescriptor::FileDescriptor(FileDescriptor&& other) noexcept
    : fs_(std::exchange(other.fs_, nullptr)), fd_(std::exchange(other.fd_, -1)) {}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
    std::swap(fs_, other.fs_);
    std::swap(fd_, other.fd_);
    return *this;
}

FileDescriptor::~FileDescriptor() { static_cast<void>(close()); }

int FileDescriptor::close() {
    if (fd_ < 0) return 0;
    const int result = fs_->close(std::exchange(fd_, -1));
    return result == -EINTR ? 0 : result;  // Linux has closed it all the same
}

Result<InputFile> InputFile::open(Fs& fs, const std::string& path) {
    const int fd = uninterrupted([&] { return fs.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0); });
    if (fd < 0) return std::unexpected(errno_error(-fd, "open", path));
    InputFile file(fs, fd, {}, path);
    const int result = uninterrupted([&] { return fs.stat(fd, file.info_); });
    if (result < 0) return std::unexpected(errno_error(-result, "examine", path));
    return file;
}

InputFile InputFile::adopt(Fs& fs, int fd, const FileInfo& info, std::string path) {
    return InputFile(fs, fd, info, std::move(path));
}

Result<Bytes> InputFile::read_all() const {
    Bytes bytes(static_cast<std::size_t>(info_.size));
    COLDFRAME_TRY(read_at(0, bytes));
    return bytes;
}

Status InputFile::read_at(std::uint64_t offset, std::span<std::uint8_t> out) const {
    while (!out.empty()) {
        const auto chunk = out.first(std::min(out.size(), k_max_transfer));
        const std::int64_t count = uninterrupted([&] { return fs_->read_at(fd_.get(), chunk, offset); });
        if (count < 0) return std::unexpected(errno_error(static_cast<int>(-count), "read", path_));
        if (count == 0) {
            return fail(ErrorCode::corrupt, "the file ends at byte " + std::to_string(offset) + ", " +
                                                std::to_string(out.size()) + " bytes early: it was truncated");
        }
        out = out.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Result<AtomicFile> AtomicFile::create(Fs& fs, const std::string& path) {
    if (path.empty() || path.back() == '/') {
        return fail(ErrorCode::invalid_argument, "'" + path + "' does not name a file");
    }
    const std::string directory = directory_of(path);
    AtomicFile file(fs, path);
    // The directory is opened first: what can fail should fail before anything is written.
    const int directory_fd = uninterrupted([&] { return fs.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
    if (directory_fd < 0) return std::unexpected(errno_error(-directory_fd, "open the directory", directory));
    file.directory_ = FileDescriptor(fs, directory_fd);

    COLDFRAME_TRY_ASSIGN(const std::string unique, unique_name(fs));
    std::string name = directory + "/.coldframe-" + unique + ".tmp";
    const int fd = uninterrupted([&] { return fs.open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644); });
    if (fd < 0) return std::unexpected(errno_error(-fd, "create a file in", directory));
    file.file_ = FileDescriptor(fs, fd);
    file.temporary_ = std::move(name);
    return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fs_(other.fs_),
      directory_(std::move(other.directory_)),
      file_(std::move(other.file_)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})) {}

AtomicFile::~AtomicFile() {
    if (temporary_.empty()) return;
    static_cast<void>(file_.close());
    static_cast<void>(uninterrupted([&] { return fs_->unlink(temporary_); }));
}

Status AtomicFile::write_at(std::uint64_t offset, ByteView bytes) { return write_all(*fs_, file_.get(), offset, bytes, path_); }

Status AtomicFile::commit() {
    if (const int result = uninterrupted([&] { return fs_->sync(file_.get()); }); result < 0) {
        return std::unexpected(errno_error(-result, "write to disk", path_));
    }
    if (const int result = file_.close(); result < 0) return std::unexpected(errno_error(-result, "close", path_));
    if (const int result = uninterrupted([&] { return fs_->rename(temporary_, path_); }); result < 0) {
        return std::unexpected(errno_error(-result, "replace", path_));
    }
    temporary_.clear();
    // Some file systems cannot sync a directory and say so; on those a rename is as durable as it gets.
    const int result = uninterrupted([&] { return fs_->sync(directory_.get()); });
    if (result < 0 && result != -EINVAL && result != -ENOTSUP) {
        return std::unexpected(errno_error(-result, "make durable (it is written, but may not survive a power loss)", path_));
    }
    return {};
}

}  // namespace coldframe
