// The one seam between coldframe and the operating system's files.
//
// `Fs` has one virtual function for each system call; the loops, checks and cleanup above it (file.hpp) therefore run
// unchanged over a test's implementation that fails the k-th call, writes short or is interrupted. Functions yield what the
// call yields, or the negative errno. Those named `_at` take a name below an open directory, or a path with k_by_path; what
// an implementation has no directories for yields -ENOSYS.
//
//   Fs& fs = Fs::real();
//   int fd = uninterrupted([&] { return fs.open("model.cfp", O_RDONLY | O_CLOEXEC, 0); });
//   if (fd < 0) return std::unexpected(errno_error(-fd, "open", "model.cfp"));
//
// Thread-safety: Fs::real() has no state. Failure: as said above; errno_error() maps an errno to an Error.
#pragma once

#include <coldframe/util/bytes.hpp>
#include <coldframe/util/error.hpp>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coldframe {

enum class FileKind : std::uint8_t { regular, directory, fifo, link, other };

struct FileInfo {
    FileKind kind = FileKind::other;
    std::uint64_t size = 0;
    std::uint32_t owner = 0;        // user id
    std::uint32_t permissions = 0;  // the low twelve bits of st_mode
    std::int64_t modified = 0;      // nanoseconds since the epoch
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t links = 1;
};

struct FileSpace {
    std::uint64_t free = 0;  // bytes that this user may still write
    std::uint64_t total = 0;
};

enum class Replace : std::uint8_t { no, yes };
inline constexpr int k_by_path = -100;  // AT_FDCWD

class Fs {
   public:
    virtual ~Fs() = default;
    [[nodiscard]] virtual int open(const std::string& path, int flags, std::uint32_t permissions) = 0;
    [[nodiscard]] virtual int stat(int fd, FileInfo& info) = 0;
    [[nodiscard]] virtual std::int64_t read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) = 0;
    [[nodiscard]] virtual std::int64_t write_at(int fd, ByteView bytes, std::uint64_t offset) = 0;
    [[nodiscard]] virtual int sync(int fd) = 0;
    [[nodiscard]] virtual int close(int fd) = 0;
    [[nodiscard]] virtual int rename(const std::string& from, const std::string& to) = 0;
    [[nodiscard]] virtual int unlink(const std::string& path) = 0;
    [[nodiscard]] virtual std::int64_t random(std::span<std::uint8_t> out) = 0;
    [[nodiscard]] virtual std::uint32_t effective_user() = 0;
    [[nodiscard]] virtual std::string host_name() = 0;

    [[nodiscard]] virtual int open_at(int directory, const std::string& name, int flags, std::uint32_t permissions);
    [[nodiscard]] virtual int stat_at(int directory, const std::string& name, FileInfo& info);  // of a link, the link's own
    [[nodiscard]] virtual int list(int directory, std::vector<std::string>& names);             // all but . and ..
    [[nodiscard]] virtual int make_directory_at(int directory, const std::string& name, std::uint32_t permissions);
    [[nodiscard]] virtual int remove_directory_at(int directory, const std::string& name);
    [[nodiscard]] virtual int rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                                        Replace replace);
    [[nodiscard]] virtual int link_at(int from_directory, const std::string& from, int to_directory, const std::string& to);
    [[nodiscard]] virtual int unlink_at(int directory, const std::string& name);
    [[nodiscard]] virtual int touch(int fd);                    // modified now, by the file system's clock
    [[nodiscard]] virtual int sync_all(int fd);                 // everything of the file system that `fd` lies in
    [[nodiscard]] virtual int space(int fd, FileSpace& space);  // of that file system
    [[nodiscard]] virtual int try_lock(int fd);                 // -EWOULDBLOCK when another holds it; until close

    [[nodiscard]] static Fs& real();
};

// Repeats `call` until it is not interrupted.
template <typename Call>
auto uninterrupted(Call&& call) {
    auto result = call();
    while (result == -EINTR) result = call();
    return result;
}

// no_space for a full disk or quota, not_found for an absent path, io for the rest: "cannot open 'x': Permission denied".
[[nodiscard]] Error errno_error(int error_number, std::string_view action, std::string_view path);

}  // namespace coldframe
