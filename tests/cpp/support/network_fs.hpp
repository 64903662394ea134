// One host's view of a directory that lies on a file server: the real directory, seen through caches and lost replies.
//
//   NetworkFs first({.seed = 1}), second({.seed = 2});        // two hosts; each opens its own store over the same directory
//   auto store = DiskStore::open(path, {.fs = &first}).value();
//
// What a host has looked up stays as it was, for it, for up to `lag` of its calls: names that were absent, sizes and times, and
// listings. It sees its own changes at once, and opening a file asks the server (close-to-open consistency). A request whose
// reply was lost is repeated by the client and then fails, although the first one has succeeded. A file that is removed while
// this host has it open is renamed to `.nfs...`, which goes when it is closed, or stays when its host crashes. Every host gets
// every lock.
//
// Thread-safety: all functions may be called from many threads. Failure: the errnos that Linux gives.
#pragma once

#include <coldframe/util/fs.hpp>

#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace coldframe::testing {

struct NetworkFaults {
    unsigned seed = 0;
    bool can_rename_without_replacing = false;  // NFS cannot
    std::size_t lag = 200;                      // calls
    double stale = 0.01;                        // ESTALE from open, read, stat and list
    double lost_reply = 0.05;                   // of what changes names
    double busy = 0.3;                          // EBUSY from rmdir
    double crash = 0.05;                        // a .nfs file that stays
};

class NetworkFs final : public Fs {
   public:
    explicit NetworkFs(const NetworkFaults& faults) : faults_(faults), random_(faults.seed) {}

    [[nodiscard]] std::size_t lies() const { return lies_; }  // calls that did not do, or did not say, what they should

    int open(const std::string&, int, std::uint32_t) override { return -ENOSYS; }
    int stat(int fd, FileInfo& info) override;
    std::int64_t read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) override;
    std::int64_t write_at(int fd, ByteView bytes, std::uint64_t offset) override;
    int sync(int fd) override { return real_.sync(fd); }
    int close(int fd) override;
    int rename(const std::string&, const std::string&) override { return -ENOSYS; }
    int unlink(const std::string&) override { return -ENOSYS; }
    std::int64_t random(std::span<std::uint8_t> out) override { return real_.random(out); }
    std::uint32_t effective_user() override { return real_.effective_user(); }
    std::string host_name() override { return "host"; }

    int open_at(int directory, const std::string& name, int flags, std::uint32_t permissions) override;
    int stat_at(int directory, const std::string& name, FileInfo& info) override;
    int list(int directory, std::vector<std::string>& names) override;
    int make_directory_at(int directory, const std::string& name, std::uint32_t permissions) override;
    int remove_directory_at(int directory, const std::string& name) override;
    int rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                  Replace replace) override;
    int link_at(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
    int unlink_at(int directory, const std::string& name) override;
    int touch(int fd) override;
    int sync_all(int fd) override { return real_.sync_all(fd); }
    int space(int fd, FileSpace& space) override { return real_.space(fd, space); }
    int try_lock(int) override { return 0; }

   private:
    struct Inode {
        std::uint64_t device = 0;
        std::uint64_t number = 0;
        auto operator<=>(const Inode&) const = default;
    };
    struct Name {
        Inode directory;
        std::string name;
        auto operator<=>(const Name&) const = default;
    };
    struct Known {
        std::size_t until = 0;         // this host's call
        std::optional<FileInfo> info;  // nothing: absent
    };
    struct Listing {
        std::size_t until = 0;
        std::vector<std::string> names;
    };
    struct Opened {
        Name name;
        Inode inode;
        int removed_from = -1;  // the directory that its .nfs name lies in
    };

    void pass_time();
    [[nodiscard]] bool chance(double probability);
    [[nodiscard]] bool is_stale() { return chance(faults_.stale); }
    [[nodiscard]] std::size_t some_time() { return calls_ + random_() % (faults_.lag + 1); }
    [[nodiscard]] Inode inode_of(int fd);
    [[nodiscard]] Name name_of(int directory, const std::string& name) { return {inode_of(directory), name}; }
    [[nodiscard]] bool is_known_absent(const Name& name);
    // What this host changes it knows.
    void forget(const Name& name);
    void forget(const Inode& inode);
    // Before a name goes: what this host has open stays there under another one. Whether it did.
    bool keep_opened(int directory, const std::string& name);

    Fs& real_ = Fs::real();
    const NetworkFaults faults_;
    std::mutex mutex_;
    std::mt19937 random_;
    std::size_t calls_ = 0;
    std::size_t lies_ = 0;
    std::size_t kept_ = 0;
    std::map<Name, Known> names_;
    std::map<Inode, Known> attributes_;
    std::map<Inode, Listing> listings_;
    std::map<int, Opened> opened_;
};

}  // namespace coldframe::testing
