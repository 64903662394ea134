// The manifest of a package as canonical bytes, and back.
//
// The manifest says everything except the bulk: code objects, guard programs and blobs are parts, kept by whoever stores the
// package, and the manifest refers to them by number. Equal parts get one number.
//
//   class MyParts : public PartSink { ... };
//   Result<Bytes> manifest = encode_manifest(package, parts);
//   Result<Package> back = decode_manifest(*manifest, parts_source, cbor::UnknownFields::reject);
//
// Thread-safety: free functions without state. Failure: encode gives invalid_argument (or what the sink gives); decode gives
// corrupt, unsupported, or what the source gives.
#pragma once

#include <coldframe/model/cbor.hpp>
#include <coldframe/model/package.hpp>

namespace coldframe {

enum class PartKind : std::uint32_t { manifest = 1, code = 2, guards = 3, blob = 4 };
[[nodiscard]] std::string_view to_string(PartKind kind);

// Takes the parts of a package that is being encoded, and numbers them.
class PartSink {
   public:
    virtual ~PartSink() = default;
    [[nodiscard]] virtual Result<std::uint32_t> add(PartKind kind, Bytes bytes) = 0;
    [[nodiscard]] virtual Result<std::uint32_t> add(const BlobPtr& blob) = 0;
};

// Yields the parts of a package that is being decoded.
class PartSource {
   public:
    virtual ~PartSource() = default;
    // The verified bytes of part `number`, which must be of that kind.
    [[nodiscard]] virtual Result<Bytes> read(PartKind kind, std::uint32_t number) = 0;
    [[nodiscard]] virtual Result<BlobPtr> blob(std::uint32_t number, std::string name) = 0;
};

[[nodiscard]] Result<Bytes> encode_manifest(const Package& package, PartSink& parts);
[[nodiscard]] Result<Package> decode_manifest(ByteView manifest, PartSource& parts, cbor::UnknownFields unknown);

}  // namespace coldframe
