#include <coldframe/archive/parts.hpp>

#include <coldframe/archive/compress.hpp>
#include <coldframe/util/try.hpp>

#include <map>
#include <utility>

namespace coldframe::archive {
namespace {

std::unexpected<Error> too_large(PartKind kind, std::uint64_t size) {
    return fail(ErrorCode::invalid_argument,
                "a " + std::string(to_string(kind)) + " of " + std::to_string(size) + " bytes is beyond the format's limit");
}

// Numbers the parts in the order in which the manifest first refers to them. Number 0 is the manifest itself.
class PartCollector final : public PartSink {
   public:
    PartCollector() : parts_(1) {}

    Result<std::uint32_t> add(PartKind kind, Bytes bytes) override {
        if (bytes.size() > k_max_document_size) return too_large(kind, bytes.size());
        const Digest digest = sha256(bytes);
        return number_of(kind, digest, {kind, std::move(bytes), nullptr});
    }
    Result<std::uint32_t> add(const BlobPtr& blob) override {
        if (blob->size() > k_max_blob_size) return too_large(PartKind::blob, blob->size());
        return number_of(PartKind::blob, blob->digest(), {PartKind::blob, {}, blob});
    }
    [[nodiscard]] std::vector<Part> finish(Bytes manifest) && {
        parts_[0] = {PartKind::manifest, std::move(manifest), nullptr};
        return std::move(parts_);
    }

   private:
    Result<std::uint32_t> number_of(PartKind kind, const Digest& digest, Part part) {
        const auto next = static_cast<std::uint32_t>(parts_.size());
        const auto [position, added] = numbers_.try_emplace({kind, digest}, next);
        if (added && next >= k_max_entries) {
            return fail(ErrorCode::invalid_argument, "a package with more than " + std::to_string(k_max_entries) + " parts");
        }
        if (added) parts_.push_back(std::move(part));
        return position->second;
    }

    std::vector<Part> parts_;
    std::map<std::pair<PartKind, Digest>, std::uint32_t> numbers_;
};

Result<Bytes> raw_bytes(const Part& part) {
    if (part.blob == nullptr) return part.bytes;
    Result<Bytes> bytes = part.blob->read();
    if (bytes && sha256(*bytes) != part.blob->digest()) {
        return fail(ErrorCode::corrupt, "the bytes of blob '" + part.blob->name() + "' do not match its digest");
    }
    return bytes;
}

}  // namespace

Result<std::vector<Part>> collect_parts(const Package& package) {
    PartCollector collector;
    COLDFRAME_TRY_ASSIGN(Bytes manifest, encode_manifest(package, collector));
    if (manifest.size() > k_max_document_size) return too_large(PartKind::manifest, manifest.size());
    return std::move(collector).finish(std::move(manifest));
}

Result<PackedPart> pack(const Part& part) {
    COLDFRAME_TRY_ASSIGN(Bytes raw, raw_bytes(part));
    Entry entry;
    entry.kind = part.kind;
    entry.raw_size = raw.size();
    entry.raw_digest = sha256(raw);
    if (raw.size() >= k_min_compressed_size) {
        COLDFRAME_TRY_ASSIGN(Bytes packed, compress(raw, k_compression_level));
        if (packed.size() + raw.size() / 16 <= raw.size() && raw.size() <= max_decompressed_size(packed.size())) {
            entry.codec = Codec::zstd;
            entry.stored_size = packed.size();
            entry.stored_digest = sha256(packed);
            return PackedPart{entry, std::move(packed)};
        }
    }
    entry.stored_size = raw.size();
    entry.stored_digest = entry.raw_digest;
    return PackedPart{entry, std::move(raw)};
}

}  // namespace coldframe::archive
