// Eviction: the least recently used variants go until the rest is within the limit, then the objects that none needs any more.
//
// Two collectors at once do no harm, nor one that is stopped for a day in the middle: every step is one rename or one unlink,
// and whoever finds a file gone goes on. A manifest goes before the objects it names. An object is first renamed into trash/
// and looked at again there: had a writer found it in place meanwhile, it has a fresh time, and goes back.
//
//   Collector collector(state, tree);
//   Result<CollectReport> report = collector.run(options);
//
// Thread-safety: one object serves one thread. Failure: io, untrusted, no_space; what could not be removed stays.
#pragma once

#include <coldframe/store/disk_state.hpp>
#include <coldframe/store/walk.hpp>

#include <unordered_map>
#include <vector>

namespace coldframe::store {

class Collector {
   public:
    Collector(DiskState& state, const Tree& tree) : state_(state), tree_(tree) {}
    [[nodiscard]] Result<CollectReport> run(const CollectOptions& options);

   private:
    struct Manifest {
        Digest key{};
        Digest id{};
        std::uint64_t size = 0;
        std::int64_t last_used = 0;
        std::uint32_t first_object = 0;  // in references_
        std::uint32_t object_count = 0;
    };
    struct Object {
        std::uint64_t size = 0;
        std::int64_t modified = 0;
        std::uint32_t references = 0;
        bool present = false;
    };
    struct Excess {
        std::uint64_t of_store = 0;  // bytes above its limit
        std::uint64_t of_disk = 0;   // bytes that are to be free and are not, where removing variants can make them so
    };
    enum class Lock : std::uint8_t { ours, busy, none };

    [[nodiscard]] Lock lock();
    [[nodiscard]] Status read_clock();
    void clear_folder(const char* name, std::int64_t older_than);
    void restore_trash();
    [[nodiscard]] Status mark();
    void mark_manifest(const Directory& in, const Digest& key, const Digest& id);
    void set_time_right(const Directory& in, const std::string& name, FileInfo& info);
    [[nodiscard]] std::int64_t grace_began() const;
    [[nodiscard]] std::uint64_t sweepable(const Object& object) const;
    [[nodiscard]] Result<std::uint64_t> bytes_lacking_on_disk() const;
    [[nodiscard]] Result<Excess> excess(const CollectOptions& options) const;
    [[nodiscard]] Status evict(const Excess& excess);
    [[nodiscard]] Status remove_manifest(const Manifest& manifest);
    void sweep();
    [[nodiscard]] bool remove_object(const Digest& digest, std::int64_t older_than);

    DiskState& state_;
    const Tree& tree_;
    FileDescriptor lock_;
    bool dry_run_ = false;
    bool complete_ = true;  // every manifest could be read
    std::int64_t now_ = 0;  // by the file system's clock
    std::vector<Manifest> manifests_;
    std::vector<const Digest*> references_;  // keys of objects_
    std::unordered_map<Digest, Object, DigestHash> objects_;
    std::uint64_t removed_ = 0;  // bytes of manifests and objects
    CollectReport report_;
};

}  // namespace coldframe::store
