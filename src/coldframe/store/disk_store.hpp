// A store in a directory, shared by any number of processes and, over a network file system, hosts.
//
//   std::string path = default_directory().value();            // $COLDFRAME_DIR, or coldframe below the user's caches
//   auto store = DiskStore::open(path, {.max_bytes = 20ull << 30}).value();
//   store->put(package);
//
// Nothing rests on locks: files are immutable, named by the digest of their bytes, and appear whole, a package's manifest last.
// What is damaged is moved to bad/ when it is met, and the next put brings it back. docs/store.md is the specification.
//
// Thread-safety: as store.hpp says. Failure: opening gives untrusted (owner or mode of the directory or of one above it),
// unsupported, corrupt, io. An absent directory is an empty store; the first put makes it.
#pragma once

#include <coldframe/store/store.hpp>

#include <atomic>
#include <chrono>

namespace coldframe::store {

enum class Access : std::uint8_t { read_write, read_only };  // read_only: nothing is written, not even a time of use

// What a put that has succeeded survives.
enum class Durability : std::uint8_t {
    none,      // a crash of the process; after a power loss it may be a miss, never a wrong byte
    synced,    // a power loss
    verified,  // and a disk that says it has written and has not: everything is read back
};

struct DiskOptions {
    Access access = Access::read_write;
    Durability durability = Durability::none;
    archive::OwnerCheck owner_check = archive::OwnerCheck::enforce;
    std::uint64_t max_bytes = std::uint64_t{10} << 30;      // 0: no limit
    std::uint64_t min_free_bytes = std::uint64_t{1} << 30;  // that stay free on the file system
    std::chrono::seconds grace{60};                         // objects that no manifest names yet are left alone so long
    Fs* fs = nullptr;                                       // Fs::real() when null; outlives the store and its packages
};

// Where the store of this user is unless told otherwise: $COLDFRAME_DIR, $XDG_CACHE_HOME/coldframe, ~/.cache/coldframe.
// not_found when none of them is set; invalid_argument for a relative path.
[[nodiscard]] Result<std::string> default_directory();

// A variant as it lies in a store: what it takes to bring it to another one without packing it anew.
struct StoredVariant {
    Bytes manifest;
    std::vector<archive::Entry> objects;  // that it needs, each once
};

struct DiskState;
class Publisher;

class DiskStore final : public Store {
   public:
    [[nodiscard]] static Result<std::unique_ptr<DiskStore>> open(const std::string& path, const DiskOptions& options = {});
    ~DiskStore() override;

    [[nodiscard]] const std::string& path() const;
    [[nodiscard]] bool read_only() const;
    [[nodiscard]] Counters& counters();

    [[nodiscard]] Result<Found> get(const PackageKey& key) override;
    [[nodiscard]] Result<Found> get(const Digest& key) override;
    [[nodiscard]] Result<PutReport> put(const Package& package) override;
    [[nodiscard]] Joined join(const Digest& key, const JoinOptions& options) override;
    [[nodiscard]] Result<std::uint64_t> remove(const Digest& key, const std::optional<Digest>& id = std::nullopt) override;
    [[nodiscard]] Result<std::uint64_t> trim(const Digest& key, std::size_t keep) override;
    [[nodiscard]] Result<std::vector<Item>> list() override;
    [[nodiscard]] Result<CollectReport> collect(const CollectOptions& options = {}) override;
    [[nodiscard]] Result<CheckReport> check(Repair repair = Repair::no, const Progress& progress = {}) override;
    [[nodiscard]] Result<Statistics> statistics() override;
    [[nodiscard]] Status flush() override;

    // As get(), for a lookup that has been counted already.
    [[nodiscard]] Result<Found> get_again(const Digest& key);
    // Verified: the manifest here, an object when it is read. not_found when a collector was faster.
    [[nodiscard]] Result<StoredVariant> read_variant(const Digest& key, const Digest& id);
    [[nodiscard]] Result<Bytes> read_object(const archive::Entry& object);
    // Puts a variant that was packed elsewhere. `objects` is asked for those that are not here yet, and has to verify them; the
    // manifest is a sound one of that key.
    [[nodiscard]] Result<PutReport> put_variant(const Digest& key, const Bytes& manifest,
                                                std::span<const archive::Entry> entries, const archive::ObjectSource& objects);

   private:
    explicit DiskStore(std::shared_ptr<DiskState> state);
    [[nodiscard]] Result<Found> look_up(const Digest& key, const PackageKey* name);
    // Makes room, and publishes what `fill` adds and gives as the manifest.
    [[nodiscard]] Result<PutReport> publish(const Digest& key, const std::function<Result<Bytes>(Publisher&)>& fill);
    [[nodiscard]] Status make_room();
    void flush_now_and_then();

    std::shared_ptr<DiskState> state_;
    std::atomic<std::int64_t> flushed_ = 0;  // of the steady clock, in seconds
};

}  // namespace coldframe::store
