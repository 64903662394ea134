// Going through everything in a store on disk.
//
//   Walk walk(tree);
//   walk.on_manifest = [&](const Directory& in, const Digest& key, const Digest& id) { ... };
//   walk.on_object = [&](const Directory& in, const Digest& object) { ... };
//   Status done = walk.run();
//
// What vanishes meanwhile is passed over. `on_stranger` gets what has no business where it lies.
//
// Thread-safety: one object serves one thread. Failure: the first error that is about more than one entry.
#pragma once

#include <coldframe/archive/format.hpp>
#include <coldframe/store/layout.hpp>

#include <functional>

namespace coldframe::store {

class Walk {
   public:
    explicit Walk(const Tree& tree) : tree_(tree) {}

    std::function<void(const Directory& in, const Digest& key, const Digest& id)> on_manifest;
    std::function<void(const Directory& in, const Digest& object)> on_object;
    std::function<void(const Directory& in, const std::string& name, const Error& error)> on_stranger;

    [[nodiscard]] Status run();

   private:
    [[nodiscard]] Status run_objects(const Directory& shard, const std::string& prefix);
    [[nodiscard]] Status run_keys(const Directory& shard, const std::string& prefix);
    [[nodiscard]] Status run_manifests(const Directory& directory, const Digest& key);
    // Each directory below `in` that is one and is trusted; the rest are strangers.
    template <typename Function>
    [[nodiscard]] Status each_directory(const Directory& in, Function&& visit);
    void stranger(const Directory& in, const std::string& name, const Error& error) const;

    const Tree& tree_;
};

// The entries of a manifest, from its start alone: its name is not verified.
[[nodiscard]] Result<std::vector<archive::Entry>> read_entries(const InputFile& manifest);

struct DigestHash {
    std::size_t operator()(const Digest& digest) const;
};

}  // namespace coldframe::store
