// An open directory, and what lies directly in it: names are never paths, and links are never followed.
//
//   Result<Directory> root = Directory::open(Fs::real(), "/home/u/.cache/coldframe");    // the one path: links count here
//   Result<Directory> shard = root->enter("ab");                                         // untrusted if it is no directory
//   Result<InputFile> file = shard->open_file("abcd");                                   // never blocks on a FIFO
//
// Thread-safety: const functions may be called from many threads. Failure: not_found, io, no_space; untrusted where something
// else lies in a directory's place, corrupt where something else lies in a file's.
#pragma once

#include <coldframe/util/file.hpp>

#include <string>
#include <vector>

namespace coldframe {

enum class Make : std::uint8_t { no, yes };
enum class Published : std::uint8_t { now, before };

class Directory {
   public:
    [[nodiscard]] static Result<Directory> open(Fs& fs, const std::string& path);

    [[nodiscard]] Fs& fs() const { return *fs_; }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const FileInfo& info() const { return info_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string path_of(const std::string& name) const { return path_ + "/" + name; }

    [[nodiscard]] Result<Directory> enter(const std::string& name, Make make = Make::no) const;
    [[nodiscard]] Result<Directory> parent() const;
    [[nodiscard]] Result<InputFile> open_file(const std::string& name) const;
    [[nodiscard]] Result<FileInfo> look_at(const std::string& name) const;
    // Without those under which a network file system keeps what was removed while it is open.
    [[nodiscard]] Result<std::vector<std::string>> names() const;

    // A new file of that name with these bytes, synced if asked for; what it is afterwards. Removed again on failure.
    [[nodiscard]] Result<FileInfo> create(const std::string& name, ByteView bytes, std::uint32_t permissions,
                                          bool synced) const;
    // Gives the file `name`, which is what `created` says, its place in `to`, where nothing is replaced. Works where the file
    // system cannot do that in one step or reports an error although it did.
    [[nodiscard]] Result<Published> publish(const std::string& name, const FileInfo& created, const Directory& to,
                                            const std::string& as) const;
    [[nodiscard]] Status move(const std::string& name, const Directory& to, const std::string& as) const;
    // To a name that nobody else chooses, so what lies there afterwards was moved, even if the file system reports an error.
    [[nodiscard]] Status move_aside(const std::string& name, const Directory& to, const std::string& unique) const;
    [[nodiscard]] Status remove(const std::string& name) const;
    [[nodiscard]] Status remove_directory(const std::string& name) const;
    [[nodiscard]] Status sync() const;

   private:
    Directory(Fs& fs, int fd, const FileInfo& info, std::string path)
        : fs_(&fs), fd_(fs, fd), path_(std::move(path)), info_(info) {}
    [[nodiscard]] Status write_new(int fd, const std::string& name, ByteView bytes, bool synced, FileInfo& info) const;

    Fs* fs_;
    FileDescriptor fd_;
    std::string path_;
    FileInfo info_;
};

}  // namespace coldframe
