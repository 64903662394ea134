// A file system in memory that can lose power.
//
// Everything that is written is recorded. crash() gives the file system as a disk might hold it after a power loss at some
// earlier moment: what had been synced is there; of the rest, each change is there or not, in any order, and writes may be torn
// or have left zeros. A rename is one change.
//
//   SimulatedFs fs;
//   auto store = DiskStore::open("/store", {.owner_check = archive::OwnerCheck::skip, .fs = &fs}).value();
//   store->put(package);
//   SimulatedFs after = fs.crash(random, fs.moment());
//
// Thread-safety: one object serves one thread. Failure: the errnos that Linux gives.
#pragma once

#include <coldframe/util/fs.hpp>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace coldframe::testing {

class SimulatedFs final : public Fs {
   public:
    SimulatedFs();

    [[nodiscard]] std::size_t moment() const { return changes_.size(); }
    [[nodiscard]] SimulatedFs crash(std::mt19937& random, std::size_t moment) const;
    // Of new and touched files from now on, in seconds.
    void advance(std::int64_t seconds) { clock_ += seconds * 1'000'000'000; }

    int open(const std::string& path, int flags, std::uint32_t permissions) override;
    int stat(int fd, FileInfo& info) override;
    std::int64_t read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) override;
    std::int64_t write_at(int fd, ByteView bytes, std::uint64_t offset) override;
    int sync(int fd) override;
    int close(int fd) override;
    int rename(const std::string&, const std::string&) override { return -ENOSYS; }
    int unlink(const std::string&) override { return -ENOSYS; }
    std::int64_t random(std::span<std::uint8_t> out) override;
    std::uint32_t effective_user() override { return 0; }
    std::string host_name() override { return "simulated"; }
    int open_at(int directory, const std::string& name, int flags, std::uint32_t permissions) override;
    int stat_at(int directory, const std::string& name, FileInfo& info) override;
    int list(int directory, std::vector<std::string>& names) override;
    int make_directory_at(int directory, const std::string& name, std::uint32_t permissions) override;
    int remove_directory_at(int directory, const std::string& name) override;
    int rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                  Replace replace) override;
    int link_at(int, const std::string&, int, const std::string&) override { return -ENOSYS; }
    int unlink_at(int directory, const std::string& name) override;
    int touch(int fd) override;
    int sync_all(int fd) override;
    int space(int fd, FileSpace& space) override;
    int try_lock(int) override { return 0; }

   private:
    using Inode = std::uint32_t;  // 0: none

    struct Node {
        bool directory = false;
        Bytes bytes;
        std::map<std::string, Inode> entries;
        std::int64_t modified = 0;
    };
    using Nodes = std::map<Inode, Node>;

    // Names that get another meaning, or bytes that are written, or what makes earlier changes durable.
    struct Change {
        enum class Kind : std::uint8_t { name, write, sync, sync_all } kind = Kind::name;
        Inode inode = 0;   // of the directory, or the file
        std::string name;  // in that directory
        Inode target = 0;  // what it names from then on
        Inode from = 0;    // a rename: the directory that loses from_name
        std::string from_name;
        bool directory = false;  // what `target` is
        std::int64_t modified = 0;
        std::uint64_t offset = 0;
        Bytes bytes;
    };

    void record(Change change);
    static void apply(Nodes& nodes, const Change& change);
    static void apply_torn(Nodes& nodes, Change change, std::mt19937& random);
    [[nodiscard]] std::vector<bool> durable(std::size_t moment) const;
    [[nodiscard]] Inode find(Inode directory, const std::string& name) const;
    [[nodiscard]] Inode resolve(int directory, const std::string& path, std::string& last) const;
    void describe(Inode inode, FileInfo& info) const;
    int open_inode(Inode inode);

    Nodes nodes_;
    std::vector<Change> changes_;
    std::map<int, Inode> descriptors_;
    Inode next_inode_ = 2;
    int next_descriptor_ = 3;
    std::uint64_t random_ = 1;
    std::int64_t clock_ = 1'700'000'000'000'000'000;
};

}  // namespace coldframe::testing
