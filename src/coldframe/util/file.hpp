// A file to read from at any offset, and a file that replaces another one atomically.
//
//   Result<InputFile> in = InputFile::open(Fs::real(), path);
//   if (Status read = in->read_at(128, buffer); !read) ...         // all of the buffer, or an error
//
//   Result<AtomicFile> out = AtomicFile::create(Fs::real(), path); // a temporary name in the directory of `path`
//   if (Status written = out->write_at(0, bytes); !written) ...
//   return out->commit();                                          // fsync, close, rename, fsync of the directory
//
//   Result<std::string> name = unique_name(Fs::real());            // "host-4711-<32 digits>": no two processes choose the same
//   Status written = write_all(fs, fd, 0, bytes, path);
//
// An AtomicFile that is destroyed before commit() has succeeded removes its temporary file; what was at `path` stays. Only
// when the last step, the fsync of the directory, fails is the new file already in place: commit() reports it, because the
// rename may not survive a power loss. A failed fsync is final: the kernel may have dropped the data.
//
// Thread-safety: read_at may be called from many threads; everything else serves one. Failure: io, no_space, not_found;
// read_at past the end of the file is corrupt.
#pragma once

#include <coldframe/util/fs.hpp>

#include <span>
#include <string>

namespace coldframe {

// Closes its descriptor when destroyed; close() reports what that said.
class FileDescriptor {
   public:
    FileDescriptor() = default;
    FileDescriptor(Fs& fs, int fd) : fs_(&fs), fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept;
    FileDescriptor& operator=(FileDescriptor&& other) noexcept;
    ~FileDescriptor();

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] int close();  // 0 or the negative errno

   private:
    Fs* fs_ = nullptr;
    int fd_ = -1;
};

// All of `bytes`, in as many calls as it takes; `path` is for the message.
[[nodiscard]] Status write_all(Fs& fs, int fd, std::uint64_t offset, ByteView bytes, std::string_view path);
// Unique on every host that shares the directory: host, process and 128 random bits.
[[nodiscard]] Result<std::string> unique_name(Fs& fs);

class InputFile {
   public:
    // Follows symbolic links. Never blocks on a FIFO: whoever needs a regular file asks info().
    [[nodiscard]] static Result<InputFile> open(Fs& fs, const std::string& path);
    // One that is open already and was examined; `path` is for messages.
    [[nodiscard]] static InputFile adopt(Fs& fs, int fd, const FileInfo& info, std::string path);

    [[nodiscard]] const FileInfo& info() const { return info_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] Status read_at(std::uint64_t offset, std::span<std::uint8_t> out) const;
    [[nodiscard]] Result<Bytes> read_all() const;  // as many bytes as info() says
    [[nodiscard]] int touch() const { return fs_->touch(fd_.get()); }

   private:
    InputFile(Fs& fs, int fd, const FileInfo& info, std::string path)
        : fs_(&fs), fd_(fs, fd), path_(std::move(path)), info_(info) {}

    Fs* fs_;
    FileDescriptor fd_;
    std::string path_;
    FileInfo info_;
};

class AtomicFile {
   public:
    // Permissions are 0644 less the umask: never writable by group or others.
    [[nodiscard]] static Result<AtomicFile> create(Fs& fs, const std::string& path);
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&&) = delete;
    ~AtomicFile();

    [[nodiscard]] Status write_at(std::uint64_t offset, ByteView bytes);
    [[nodiscard]] Status commit();

   private:
    AtomicFile(Fs& fs, std::string path) : fs_(&fs), path_(std::move(path)) {}

    Fs* fs_;
    FileDescriptor directory_;
    FileDescriptor file_;
    std::string path_;
    std::string temporary_;  // empty: none to remove
};

}  // namespace coldframe
