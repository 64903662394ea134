// The one seam between coldframe and the operating system's files.
//
// `Fs` has one virtual function for each system call; the loops, checks and cleanup above it (file.hpp) therefore run
// unchanged over a test's implementation that fails the k-th call, writes short or is interrupted. Functions yield what the
// call yields, or the negative errno.
//
//   Fs& fs = Fs::real();
//   int fd = fs.open("model.cfp", O_RDONLY | O_CLOEXEC, 0);
//   if (fd < 0) return std::unexpected(errno_error(-fd, "open", "model.cfp"));
//
// Thread-safety: Fs::real() has no state. Failure: as said above; errno_error() maps an errno to an Error.
#pragma once

#include <coldframe/util/bytes.hpp>
#include <coldframe/util/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace coldframe {

enum class FileKind : std::uint8_t { regular, directory, fifo, other };

struct FileInfo {
    FileKind kind = FileKind::other;
    std::uint64_t size = 0;
    std::uint32_t owner = 0;        // user id
    std::uint32_t permissions = 0;  // the low twelve bits of st_mode
};

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

    [[nodiscard]] static Fs& real();
};

// no_space for a full disk or quota, not_found for an absent path, io for the rest: "cannot open 'x': Permission denied".
[[nodiscard]] Error errno_error(int error_number, std::string_view action, std::string_view path);

}  // namespace coldframe
