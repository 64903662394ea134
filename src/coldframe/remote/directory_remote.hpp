// A store in a directory that hosts share, as a remote tier: the layout of docs/store.md, so that gc, fsck and ls work on it.
//
//   DirectoryRemote remote("/mnt/shared/coldframe", archive::OwnerCheck::enforce);
//
// Everything that docs/store.md promises about writers, readers and collectors holds here as well; what is written is synced.
// Limits are looked at between files: a network file system that hangs cannot be left.
//
// Thread-safety: one object serves one thread. Failure: as remote.hpp says; untrusted for an owner or mode.
#pragma once

#include <coldframe/remote/remote.hpp>
#include <coldframe/store/layout.hpp>

namespace coldframe::remote {

class DirectoryRemote final : public Remote {
   public:
    DirectoryRemote(std::string path, archive::OwnerCheck owner_check) : path_(std::move(path)), owner_check_(owner_check) {}

    [[nodiscard]] Result<Record> get_record(const Digest& key, const Limits& limits) override;
    [[nodiscard]] Result<Bytes> get_manifest(const Digest& key, const Blob& manifest, const Limits& limits) override;
    [[nodiscard]] Result<Bytes> get_object(const Blob& object, const Limits& limits) override;
    [[nodiscard]] Result<bool> has_object(const Blob& object, const Limits& limits) override;
    [[nodiscard]] Status put_object(const Blob& object, ByteView bytes, Overwrite overwrite, const Limits& limits) override;
    [[nodiscard]] Status put_manifest(const Digest& key, const Listed& variant, ByteView bytes, Overwrite overwrite,
                                      const Limits& limits) override;
    [[nodiscard]] Status keep(const Digest& key, const Listed& variant, const Limits& limits) override;
    [[nodiscard]] store::Joined join(const Digest& key, const RemoteJoin& how) override;

   private:
    [[nodiscard]] Result<store::Tree> open() const { return store::Tree::open(Fs::real(), path_, owner_check_); }
    [[nodiscard]] Status publish(const store::Tree& tree, const Directory& in, const std::string& name, ByteView bytes,
                                 Overwrite overwrite) const;

    std::string path_;
    archive::OwnerCheck owner_check_;
};

}  // namespace coldframe::remote
