#include <coldframe/store/memory_store.hpp>

#include <coldframe/archive/writer.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>

namespace coldframe::store {
namespace {

Result<Variant> open(const Digest& id, const Bytes& bytes, std::int64_t last_used) {
    COLDFRAME_TRY_ASSIGN(auto reader, archive::reader_of_bytes(bytes, to_hex(id)));
    COLDFRAME_TRY_ASSIGN(Package package, reader->package());
    return Variant{id, std::move(package), std::move(reader), last_used};
}

}  // namespace

Result<Found> MemoryStore::get(const Digest& key) {
    const std::lock_guard lock(mutex_);
    Found found;
    for (auto slot = slots_.lower_bound({key, Digest{}}); slot != slots_.end() && slot->first.first == key; ++slot) {
        Result<Variant> variant = open(slot->first.second, slot->second.bytes, slot->second.last_used);
        if (!variant) {
            counters_.add(refusal_counter(variant.error().code));
            found.refusals.push_back({to_hex(slot->first.second), std::move(variant.error())});
            continue;
        }
        found.variants.push_back(std::move(*variant));
        slot->second.last_used = ++uses_;
        counters_.add(Counter::bytes_read, slot->second.bytes.size());
    }
    std::ranges::sort(found.variants, std::ranges::greater{}, &Variant::last_used);
    counters_.add(found.variants.empty() ? Counter::misses : Counter::hits);
    return found;
}

Result<PutReport> MemoryStore::put(const Package& package) {
    Result<Bytes> bytes = archive::to_bytes(package);
    const std::lock_guard lock(mutex_);
    if (!bytes) {
        counters_.add(Counter::put_failures);
        return std::unexpected(std::move(bytes.error()));
    }
    PutReport report;
    report.key = key_digest(package);
    report.id = sha256(*bytes);
    const std::uint64_t size = bytes->size();
    const auto [slot, added] =
        slots_.try_emplace({report.key, report.id}, Slot{std::move(*bytes), package.key, package.compile_seconds, 0});
    slot->second.last_used = ++uses_;
    report.added = added;
    report.bytes_written = added ? size : 0;
    counters_.add(Counter::puts);
    counters_.add(Counter::bytes_written, report.bytes_written);
    if (options_.max_bytes != 0) static_cast<void>(evict(options_.max_bytes, false));
    return report;
}

Result<std::uint64_t> MemoryStore::remove(const Digest& key, const std::optional<Digest>& id) {
    const std::lock_guard lock(mutex_);
    return std::erase_if(slots_,
                         [&](const auto& slot) { return slot.first.first == key && (!id || slot.first.second == *id); });
}

Result<std::vector<Item>> MemoryStore::list() {
    const std::lock_guard lock(mutex_);
    std::vector<Item> items;
    for (const auto& [name, slot] : slots_) {
        items.push_back({name.first, name.second, slot.name, slot.bytes.size(), slot.last_used, slot.compile_seconds});
    }
    std::ranges::sort(items, std::ranges::greater{}, &Item::last_used);
    return items;
}

Usage MemoryStore::usage() const {
    Usage usage;
    usage.variants = slots_.size();
    for (const auto& [name, slot] : slots_) usage.bytes += slot.bytes.size();
    return usage;
}

CollectReport MemoryStore::evict(std::uint64_t limit, bool dry_run) {
    CollectReport report;
    report.before = usage();
    std::vector<std::map<Name, Slot>::iterator> order;
    for (auto slot = slots_.begin(); slot != slots_.end(); ++slot) order.push_back(slot);
    std::ranges::sort(order, {}, [](const auto& slot) { return slot->second.last_used; });
    for (const auto& slot : order) {
        if (report.before.bytes - report.freed <= limit) break;
        report.freed += slot->second.bytes.size();
        ++report.evicted;
        if (!dry_run) slots_.erase(slot);
    }
    if (!dry_run) counters_.add(Counter::evicted, report.evicted);
    return report;
}

Result<CollectReport> MemoryStore::collect(const CollectOptions& options) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t own = options_.max_bytes == 0 ? ~std::uint64_t{0} : options_.max_bytes;
    return evict(options.max_bytes.value_or(own), options.dry_run);
}

Result<CheckReport> MemoryStore::check(Repair repair, const Progress& progress) {
    const std::lock_guard lock(mutex_);
    CheckReport report;
    report.usage = usage();
    std::uint64_t done = 0;
    for (auto slot = slots_.begin(); slot != slots_.end();) {
        const Result<Variant> variant = open(slot->first.second, slot->second.bytes, 0);
        const Status intact = variant ? variant->reader->verify() : std::unexpected(variant.error());
        done += slot->second.bytes.size();
        if (progress) progress(done);
        if (!intact) report.problems.push_back({to_hex(slot->first.second), intact.error()});
        const bool erase = !intact && repair == Repair::yes;
        if (erase) ++report.repaired;
        slot = erase ? slots_.erase(slot) : std::next(slot);
    }
    return report;
}

Result<Statistics> MemoryStore::statistics() {
    const std::lock_guard lock(mutex_);
    Statistics statistics;
    statistics.usage = usage();
    statistics.max_bytes = options_.max_bytes;
    statistics.counters = counters_.values();
    return statistics;
}

}  // namespace coldframe::store
