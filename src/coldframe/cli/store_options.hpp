// The subcommands that work on a store.
//
//   if (auto* stats = std::get_if<StatsOptions>(&parsed)) ...
//
// Thread-safety: values. Failure: none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace coldframe::cli {

// The directory; empty: the user's own.
struct StorePlace {
    std::string directory;
};

struct StatsOptions : StorePlace {
    bool json = false;
};

struct ListOptions : StorePlace {
    bool json = false;
};

// KEY is the beginning of a key's digest, or of a variant's id.
struct ShowOptions : StorePlace {
    std::string key;
    bool json = false;
};

struct CollectOptions : StorePlace {
    std::optional<std::uint64_t> max_bytes;
    bool dry_run = false;
};

struct CheckOptions : StorePlace {
    bool repair = false;
};

struct ExportOptions : StorePlace {
    std::string key;
    std::string file;
};

struct ImportOptions : StorePlace {
    std::string file;
    bool any_owner = false;
};

struct WhyOptions : StorePlace {
    std::size_t last = 10;
    bool json = false;
};

// Without keys: everything that the store has.
struct PushOptions : StorePlace {
    std::vector<std::string> keys;
    std::string remote;
    bool force = false;
    bool json = false;
};

struct PullOptions : StorePlace {
    std::vector<std::string> keys;
    std::string remote;
    bool json = false;
};

using StoreCommand = std::variant<StatsOptions, ListOptions, ShowOptions, CollectOptions, CheckOptions, ExportOptions,
                                  ImportOptions, WhyOptions, PushOptions, PullOptions>;

}  // namespace coldframe::cli
