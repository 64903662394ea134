#include <coldframe/cli/store_access.hpp>

#include <coldframe/util/try.hpp>

#include <algorithm>

namespace coldframe::cli {
namespace {

using store::DiskStore;

constexpr std::size_t k_shortest_key = 4;

std::unexpected<Error> wrong_argument(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

}  // namespace

Result<std::unique_ptr<DiskStore>> open_store(const StorePlace& place, store::Access access) {
    COLDFRAME_TRY_ASSIGN(std::string directory,
                         place.directory.empty() ? store::default_directory() : Result<std::string>(place.directory));
    return DiskStore::open(directory, {.access = access});
}

Result<std::vector<store::Item>> find_items(DiskStore& store, const std::string& key) {
    const bool hex = std::ranges::all_of(key, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (!hex || key.size() < k_shortest_key) {
        return wrong_argument("'" + key + "' is no key: give at least its first " + std::to_string(k_shortest_key) +
                              " digits, as coldframe ls lists it");
    }
    Result<std::vector<store::Item>> items = store.list();
    if (!items) return items;
    std::vector<store::Item> of_key;
    std::vector<store::Item> of_id;
    for (const store::Item& item : *items) {
        if (to_hex(item.key).starts_with(key)) of_key.push_back(item);
        if (to_hex(item.id).starts_with(key)) of_id.push_back(item);
    }
    std::vector<store::Item>& named = of_key.empty() ? of_id : of_key;
    if (named.empty()) return fail(ErrorCode::not_found, "the store has no key and no variant that begins with '" + key + "'");
    const bool one_key = std::ranges::all_of(named, [&](const store::Item& item) { return item.key == named[0].key; });
    if (one_key) return std::move(named);
    return wrong_argument("several keys begin with '" + key + "': give more digits");
}

}  // namespace coldframe::cli
