// The directories of a store on disk, and the only ways to get to them. docs/store.md is the specification.
//
//   Result<Tree> tree = Tree::open(fs, path, OwnerCheck::enforce);          // not_found where there is none yet
//   Result<Tree> made = Tree::prepare(fs, path, OwnerCheck::enforce);       // which makes it
//   Result<Directory> shard = tree->object_shard(digest, Make::no);         // obj/ab
//
// Each directory on the way is opened below the one before it, without following a link, and its owner and mode are checked:
// whoever may write it decides what code runs.
//
// Thread-safety: const functions may be called from many threads. Failure: untrusted, not_found, unsupported (a newer store),
// invalid_argument (a directory that holds something else), corrupt (its FORMAT), io, no_space.
#pragma once

#include <coldframe/archive/reader.hpp>
#include <coldframe/util/digest.hpp>
#include <coldframe/util/directory.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace coldframe::store {

inline constexpr const char* k_objects = "obj";
inline constexpr const char* k_manifests = "act";
inline constexpr const char* k_staging = "tmp";
inline constexpr const char* k_trash = "trash";
inline constexpr const char* k_bad = "bad";
inline constexpr const char* k_reports = "stat";
inline constexpr const char* k_locks = "lock";
inline constexpr const char* k_misses = "why";
inline constexpr const char* k_format = "FORMAT";
inline constexpr const char* k_usage = "usage";  // in stat, beside the reports
inline constexpr const char* k_tag = "CACHEDIR.TAG";

inline constexpr std::uint32_t k_file_permissions = 0444;
// Larger files in a manifest's or report's place are none.
inline constexpr std::uint64_t k_max_manifest_size = std::uint64_t{256} << 20;

[[nodiscard]] std::string object_name(const Digest& digest);
[[nodiscard]] std::string manifest_name(const Digest& id);
[[nodiscard]] std::optional<Digest> parse_manifest_name(std::string_view name);
[[nodiscard]] std::string shard_name(const Digest& digest);

// What a file takes on the disk: blocks of 4 KiB.
[[nodiscard]] constexpr std::uint64_t disk_size(std::uint64_t size) { return (size + 4095) / 4096 * 4096; }

class Tree {
   public:
    [[nodiscard]] static Result<Tree> open(Fs& fs, const std::string& path, archive::OwnerCheck owner_check);
    [[nodiscard]] static Result<Tree> prepare(Fs& fs, const std::string& path, archive::OwnerCheck owner_check);

    [[nodiscard]] Fs& fs() const { return root_.fs(); }
    [[nodiscard]] const Directory& root() const { return root_; }
    // Whether FORMAT is there and says what this version can read.
    [[nodiscard]] Status check_format() const;
    [[nodiscard]] Status write_format() const;
    // No other user can have put anything else in the place of the root.
    [[nodiscard]] Status check_ancestors() const;

    [[nodiscard]] Result<Directory> folder(const char* name, Make make = Make::no) const;
    [[nodiscard]] Result<Directory> object_shard(const Digest& object, Make make = Make::no) const;
    [[nodiscard]] Result<Directory> key_directory(const Digest& key, Make make = Make::no) const;
    [[nodiscard]] Result<Directory> enter(const Directory& from, const std::string& name, Make make = Make::no) const;

    // A regular file that only this user or root can have written, with no more names than a publication needs.
    [[nodiscard]] Result<InputFile> open_file(const Directory& in, const std::string& name) const;
    // Out of the way, under a name that tells where it was. Whether it is gone from there.
    bool quarantine(const Directory& in, const std::string& name) const;
    // A new file in the staging folder, whose name is the result.
    struct Staged {
        std::string name;
        FileInfo info;
    };
    [[nodiscard]] Result<Staged> stage(const Directory& staging, ByteView bytes, bool synced) const;

   private:
    Tree(Directory root, archive::OwnerCheck owner_check) : root_(std::move(root)), owner_check_(owner_check) {}
    [[nodiscard]] Status check(const FileInfo& info, const std::string& path) const;
    [[nodiscard]] Status make_format() const;

    Directory root_;
    archive::OwnerCheck owner_check_;
};

}  // namespace coldframe::store
