// What the parts of a DiskStore share, and what the blobs of its packages keep alive.
//
//   auto state = std::make_shared<DiskState>(fs, path, options);
//   Result<Tree> tree = state->tree();
//
// Thread-safety: immutable but for the counters, which are safe. Failure: as layout.hpp says.
#pragma once

#include <coldframe/store/disk_store.hpp>
#include <coldframe/store/layout.hpp>

#include <atomic>

namespace coldframe::store {

struct DiskState {
    DiskState(std::string root, const DiskOptions& chosen)
        : fs(chosen.fs != nullptr ? *chosen.fs : Fs::real()), path(std::move(root)), options(chosen) {}

    [[nodiscard]] Result<Tree> tree() const { return Tree::open(fs, path, options.owner_check); }
    [[nodiscard]] Result<Tree> prepared_tree() const { return Tree::prepare(fs, path, options.owner_check); }
    [[nodiscard]] bool read_only() const { return options.access == Access::read_only; }
    void quarantine(const Tree& tree, const Directory& in, const std::string& name) {
        if (!read_only() && tree.quarantine(in, name)) counters.add(Counter::quarantined);
    }

    Fs& fs;
    const std::string path;
    const DiskOptions options;
    Counters counters;
    std::atomic<int> held_descriptors = 0;
};

}  // namespace coldframe::store
