// A store in this process's memory: for tests, and in front of a slower one.
//
//   MemoryStore store({.max_bytes = 256 << 20});
//   store.put(package);                                        // as bytes: what the caller changes later stays out
//
// Thread-safety: all functions may be called from many threads. Failure: what encoding a package gives.
#pragma once

#include <coldframe/store/store.hpp>

#include <map>
#include <mutex>

namespace coldframe::store {

struct MemoryOptions {
    std::uint64_t max_bytes = 0;  // 0: no limit; a put beyond it evicts the least recently used
};

class MemoryStore final : public Store {
   public:
    explicit MemoryStore(const MemoryOptions& options = {}) : options_(options) {}

    [[nodiscard]] Result<Found> get(const PackageKey& key) override { return get(key_digest(key)); }
    [[nodiscard]] Result<Found> get(const Digest& key) override;
    [[nodiscard]] Result<PutReport> put(const Package& package) override;
    [[nodiscard]] Result<std::uint64_t> remove(const Digest& key, const std::optional<Digest>& id = std::nullopt) override;
    [[nodiscard]] Result<std::vector<Item>> list() override;
    [[nodiscard]] Result<CollectReport> collect(const CollectOptions& options = {}) override;
    [[nodiscard]] Result<CheckReport> check(Repair repair = Repair::no, const Progress& progress = {}) override;
    [[nodiscard]] Result<Statistics> statistics() override;
    [[nodiscard]] Status flush() override { return {}; }

   private:
    struct Slot {
        Bytes bytes;  // of a .cfp
        PackageKey name;
        double compile_seconds = 0;
        std::int64_t last_used = 0;
    };
    using Name = std::pair<Digest, Digest>;  // key, id

    [[nodiscard]] CollectReport evict(std::uint64_t limit, bool dry_run);
    [[nodiscard]] Usage usage() const;

    MemoryOptions options_;
    std::mutex mutex_;
    std::map<Name, Slot> slots_;
    Counters counters_;
    std::int64_t uses_ = 0;
};

}  // namespace coldframe::store
