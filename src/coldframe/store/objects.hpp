// The blobs of a stored package that lie apart from its manifest: found when the package is, read when they are used.
//
//   auto objects = std::make_shared<StoredObjects>(state);
//   auto reader = archive::open_detached(manifest, name, objects);
//   Status complete = objects->find(tree, (*reader)->entries());       // not_found: one is gone, the package is a miss
//
// Up to a limit, the files are kept open from then on, so that a collector that removes them does no harm.
//
// Thread-safety: find() before the object is shared; then read() from many threads. Failure: not_found, corrupt, untrusted, io.
#pragma once

#include <coldframe/archive/detached.hpp>
#include <coldframe/store/disk_state.hpp>

#include <map>

namespace coldframe::store {

class StoredObjects final : public archive::ObjectSource {
   public:
    explicit StoredObjects(std::shared_ptr<DiskState> state) : state_(std::move(state)) {}
    ~StoredObjects() override;

    [[nodiscard]] Status find(const Tree& tree, std::span<const archive::Entry> entries);
    [[nodiscard]] Result<Bytes> read(const archive::Entry& entry) const override;

   private:
    [[nodiscard]] Status find_one(const Tree& tree, const archive::Entry& entry);
    [[nodiscard]] Result<Bytes> read_verified(const InputFile& file, const archive::Entry& entry) const;

    std::shared_ptr<DiskState> state_;
    std::map<Digest, InputFile> held_;
};

// Opens an object and checks everything but its bytes; what is wrong there is quarantined.
[[nodiscard]] Result<InputFile> open_object(DiskState& state, const Tree& tree, const Digest& digest, std::uint64_t size);
// All bytes of an open file, if they are those of the digest; else corrupt.
[[nodiscard]] Result<Bytes> read_named(const InputFile& file, const Digest& digest);

}  // namespace coldframe::store
