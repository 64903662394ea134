// A remote that is nothing but named blobs: most servers that can be read and written are.
//
//   <prefix>cas/ab/<sha256>      an object or a manifest, by the digest of its bytes
//   <prefix>ac/ab/<key>          the record of a key; Layout::bazel has no directories `ab`
//   <prefix>lease/ab/<key>       its lease, where writes can be conditional: see blob_leases.hpp
//
//   class MyBlobs final : public Blobs { ... };
//   BlobRemote remote(std::make_unique<MyBlobs>(), Layout::sharded);
//
// A record is written by whoever adds a variant: read, added to, written back. Where writes can be conditional, none is lost.
// Elsewhere it is read once more, and written again where another writer came between; that can still happen just afterwards,
// and then a variant is not found until it is put again.
//
// Thread-safety: one object serves one thread. Failure: as remote.hpp says.
#pragma once

#include <coldframe/remote/remote.hpp>

#include <optional>

namespace coldframe::remote {

class Blobs {
   public:
    struct Content {
        Bytes bytes;
        std::string version;  // for Condition; empty: it has none
    };
    struct Condition {
        bool absent = false;  // nothing is there
        std::string version;  // or just this
    };

    Blobs() = default;
    Blobs(const Blobs&) = delete;
    Blobs& operator=(const Blobs&) = delete;
    virtual ~Blobs() = default;

    // Nothing when it is not there. More than `max_size` bytes are corrupt.
    [[nodiscard]] virtual Result<std::optional<Content>> get(const std::string& name, std::uint64_t max_size,
                                                             const Limits& limits) = 0;
    // Whether it is there, with that size as far as that is known.
    [[nodiscard]] virtual Result<bool> has(const std::string& name, std::uint64_t size, const Limits& limits) = 0;
    // False: the condition does not hold. Blobs that are not conditional ignore it.
    [[nodiscard]] virtual Result<bool> put(const std::string& name, ByteView bytes, const Digest& digest,
                                           const Condition& condition, const Limits& limits) = 0;
    [[nodiscard]] virtual bool conditional() const { return false; }
};

enum class Layout : std::uint8_t { sharded, bazel };

class BlobRemote final : public Remote {
   public:
    using Connect = std::function<std::unique_ptr<Blobs>()>;

    // `connect`: for leases, which need connections of their own; without it there are none.
    BlobRemote(std::unique_ptr<Blobs> blobs, Layout layout, Connect connect = {})
        : blobs_(std::move(blobs)), layout_(layout), connect_(std::move(connect)) {}

    [[nodiscard]] Result<Record> get_record(const Digest& key, const Limits& limits) override;
    [[nodiscard]] Result<Bytes> get_manifest(const Digest& key, const Blob& manifest, const Limits& limits) override;
    [[nodiscard]] Result<Bytes> get_object(const Blob& object, const Limits& limits) override;
    [[nodiscard]] Result<bool> has_object(const Blob& object, const Limits& limits) override;
    [[nodiscard]] Status put_object(const Blob& object, ByteView bytes, Overwrite overwrite, const Limits& limits) override;
    [[nodiscard]] Status put_manifest(const Digest& key, const Listed& variant, ByteView bytes, Overwrite overwrite,
                                      const Limits& limits) override;
    [[nodiscard]] store::Joined join(const Digest& key, const RemoteJoin& how) override;

   private:
    [[nodiscard]] std::string name_of(const char* folder, const Digest& digest) const;
    [[nodiscard]] Status add_to_record(const Digest& key, const Listed& variant, const Limits& limits);

    std::unique_ptr<Blobs> blobs_;
    Layout layout_;
    Connect connect_;
};

}  // namespace coldframe::remote
