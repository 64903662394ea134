// The store that a command is about, and what a KEY names in it.
//
//   auto store = open_store(options, store::Access::read_only);
//   Result<std::vector<store::Item>> items = find_items(**store, "1f4c");
//
// Thread-safety: free functions. Failure: what the store gives; invalid_argument for a KEY that is none or names several keys,
// not_found for one that names nothing.
#pragma once

#include <coldframe/cli/store_options.hpp>
#include <coldframe/store/disk_store.hpp>

namespace coldframe::cli {

[[nodiscard]] Result<std::unique_ptr<store::DiskStore>> open_store(const StorePlace& place, store::Access access);
// The beginning of a key's digest names all of that key's variants, that of an id the one.
[[nodiscard]] Result<std::vector<store::Item>> find_items(store::DiskStore& store, const std::string& key);

}  // namespace coldframe::cli
