// A store: packages by key, several variants a key, verified whenever they are read.
//
//   Store        what every kind of store can do: DiskStore (disk_store.hpp), MemoryStore (memory_store.hpp)
//   Found        what is there for a key: the variants that passed every check, and why the others did not
//
//   std::unique_ptr<Store> store = DiskStore::open(default_directory().value()).value();
//   store->put(package);                                       // under package.key, beside the variants that are there
//   Result<Found> found = store->get(package.key);
//   if (found && found->variants.empty()) ...                  // a miss; found->refusals say what was there and why not
//
// A miss is a value. An error means that the store as a whole cannot be used: untrusted, unsupported, io.
//
// Thread-safety: all functions may be called from many threads, and from many processes on one directory. Failure: as each
// says; no failure leaves a store in which a wrong byte could be returned.
#pragma once

#include <coldframe/archive/reader.hpp>
#include <coldframe/model/package.hpp>
#include <coldframe/store/counters.hpp>
#include <coldframe/store/flight.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coldframe::store {

// What names a key in a store: a digest over all of its fields, and over the structure of the calls that a package is for, if
// it is for some alone: the setting "structure" of its environment, 32 bytes.
[[nodiscard]] Digest key_digest(const PackageKey& key, const std::optional<Digest>& structure = std::nullopt);
[[nodiscard]] Digest key_digest(const Package& package);
[[nodiscard]] std::optional<Digest> structure_of(const Package& package);
void set_structure(Package& package, const Digest& structure);

struct Variant {
    Digest id{};  // of the variant's manifest: names its whole content
    Package package;
    std::shared_ptr<const archive::Reader> reader;
    std::int64_t last_used = 0;  // nanoseconds since the epoch, to the hour
};

struct Refusal {
    std::string name;  // of the variant: its id in hex, or of the file that cannot be one
    Error error;
};

struct Found {
    std::vector<Variant> variants;  // the most recently used first
    std::vector<Refusal> refusals;
};

struct PutReport {
    Digest key{};
    Digest id{};
    bool added = false;               // else the same variant was there already
    std::uint64_t bytes_written = 0;  // what it takes on the disk, less what other packages share
};

// Where a package goes, and what it takes the place of.
struct Publication {
    Digest structure{};                 // of the calls that it is for
    std::vector<Digest> replaces{};     // variants for the same calls
    std::optional<std::size_t> keep{};  // so many variants for these calls
};

// One variant, without the bulk.
struct Item {
    Digest key{};
    Digest id{};
    PackageKey name;
    std::uint64_t size = 0;  // manifest and objects, some of which it may share
    std::int64_t last_used = 0;
    double compile_seconds = 0;
};

// Why a process compiled something that it looked for in the store.
struct MissNote {
    std::int64_t when = 0;  // nanoseconds since the epoch, by the file system's clock; set when it is noted
    std::string function{};
    std::vector<std::string> reasons{};   // one line each
    std::optional<Counter> counted_as{};  // is not kept with it
};

struct Usage {
    std::uint64_t variants = 0;
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;        // that they take on the disk
    std::uint64_t quarantined = 0;  // damaged files kept for a day
};

struct Statistics {
    Usage usage;
    std::uint64_t max_bytes = 0;  // 0: no limit
    CounterValues counters;       // of all processes, as far as they have reported
};

struct CollectOptions {
    std::optional<std::uint64_t> max_bytes;  // instead of the store's own limit
    bool dry_run = false;
};

struct CollectReport {
    bool busy = false;  // another collector is at work: nothing was done
    Usage before;
    std::uint64_t evicted = 0;        // variants, least recently used first
    std::uint64_t swept = 0;          // objects that no variant needs any more
    std::uint64_t freed = 0;          // bytes
    std::uint64_t pending_bytes = 0;  // of objects that none needs, yet too young to tell
};

struct Problem {
    std::string path;
    Error error;
};

enum class Repair : std::uint8_t { no, yes };
using Progress = std::function<void(std::uint64_t bytes_done)>;

struct CheckReport {
    Usage usage;
    std::vector<Problem> problems;
    std::uint64_t repaired = 0;
};

class Store {
   public:
    virtual ~Store() = default;

    [[nodiscard]] virtual Result<Found> get(const PackageKey& key) = 0;
    // The key by its digest, as list() gives it.
    [[nodiscard]] virtual Result<Found> get(const Digest& key) = 0;
    [[nodiscard]] virtual Result<PutReport> put(const Package& package) = 0;
    // Puts the package for calls of one structure, and only then takes out what it replaces, and what is more than is to be
    // kept: who is killed in between leaves a variant too many.
    [[nodiscard]] Result<PutReport> publish(Package package, const Publication& publication);
    // Whether to compile for the key, or to get it again: see flight.hpp.
    [[nodiscard]] virtual Joined join(const Digest& /*key*/, const JoinOptions& /*options*/) { return {}; }
    // How many variants went: all of the key, or the one of that id.
    [[nodiscard]] virtual Result<std::uint64_t> remove(const Digest& key, const std::optional<Digest>& id = std::nullopt) = 0;
    // Removes the least recently used variants of a key until no more than `keep` are left; how many went.
    [[nodiscard]] virtual Result<std::uint64_t> trim(const Digest& /*key*/, std::size_t /*keep*/) { return std::uint64_t{0}; }
    [[nodiscard]] virtual Result<std::vector<Item>> list() = 0;
    // Evicts what is over the limit, and clears away what crashed processes have left.
    [[nodiscard]] virtual Result<CollectReport> collect(const CollectOptions& options = {}) = 0;
    // Reads and verifies every byte. Repairing moves what is damaged away, so that the next put heals it.
    [[nodiscard]] virtual Result<CheckReport> check(Repair repair = Repair::no, const Progress& progress = {}) = 0;
    [[nodiscard]] virtual Result<Statistics> statistics() = 0;
    // For people: kept for a week.
    [[nodiscard]] virtual Status note_miss(const MissNote& /*miss*/) { return {}; }
    [[nodiscard]] virtual Result<std::vector<MissNote>> misses() { return std::vector<MissNote>{}; }  // the last first
    // Makes this process's counters known to others. Done now and then by itself.
    [[nodiscard]] virtual Status flush() = 0;
};

}  // namespace coldframe::store
