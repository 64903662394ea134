#include <coldframe/remote/blob_remote.hpp>

#include <coldframe/remote/blob_leases.hpp>
#include <coldframe/util/try.hpp>

namespace coldframe::remote {
namespace {

constexpr int k_merges = 4;

}  // namespace

std::string BlobRemote::name_of(const char* folder, const Digest& digest) const {
    const std::string hex = to_hex(digest);
    if (layout_ == Layout::bazel) return std::string(folder) + "/" + hex;
    return std::string(folder) + "/" + hex.substr(0, 2) + "/" + hex;
}

Result<Record> BlobRemote::get_record(const Digest& key, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto content, blobs_->get(name_of("ac", key), k_max_record_size, limits));
    if (!content) return Record{};
    return decode_record(content->bytes);
}

Result<Bytes> BlobRemote::get_manifest(const Digest&, const Blob& manifest, const Limits& limits) {
    return get_object(manifest, limits);
}

Result<Bytes> BlobRemote::get_object(const Blob& object, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(auto content, blobs_->get(name_of("cas", object.digest), object.size, limits));
    if (content) return std::move(content->bytes);
    return fail(ErrorCode::not_found, "the remote has no object " + to_hex(object.digest));
}

Result<bool> BlobRemote::has_object(const Blob& object, const Limits& limits) {
    return blobs_->has(name_of("cas", object.digest), object.size, limits);
}

Status BlobRemote::put_object(const Blob& object, ByteView bytes, Overwrite overwrite, const Limits& limits) {
    const Blobs::Condition condition{.absent = overwrite == Overwrite::no, .version = {}};
    // Where it is there already, it is what it should be: its name says so.
    const Result<bool> put = blobs_->put(name_of("cas", object.digest), bytes, object.digest, condition, limits);
    return put ? Status{} : std::unexpected(put.error());
}

Status BlobRemote::put_manifest(const Digest& key, const Listed& variant, ByteView bytes, Overwrite overwrite,
                                const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const bool there,
                         overwrite == Overwrite::no ? has_object(variant.manifest, limits) : Result<bool>(false));
    if (!there) {
        if (Status put = put_object(variant.manifest, bytes, Overwrite::yes, limits); !put) return put;
    }
    return add_to_record(key, variant, limits);
}

store::Joined BlobRemote::join(const Digest& key, const RemoteJoin& how) {
    if (!connect_ || !blobs_->conditional()) return {};
    return join_by_lease(std::make_unique<BlobLeases>(connect_(), name_of("ac", key), name_of("lease", key)), how);
}

Status BlobRemote::add_to_record(const Digest& key, const Listed& variant, const Limits& limits) {
    const std::string name = name_of("ac", key);
    bool written = false;
    for (int i = 0; i < k_merges; ++i) {
        const auto content = blobs_->get(name, k_max_record_size, limits);
        if (!content && content.error().code != ErrorCode::corrupt) return std::unexpected(content.error());
        const bool readable = content && content->has_value();
        // A damaged record is written anew.
        Record record = readable ? decode_record((*content)->bytes).value_or(Record{}) : Record{};
        const bool listed = std::ranges::find(record.variants, variant) != record.variants.end();
        if (listed && (written || record.variants.front() == variant)) return {};
        record.add(variant);
        const Bytes message = encode_record(record);
        Blobs::Condition condition{.absent = content && !*content, .version = {}};
        if (readable) condition.version = (*content)->version;
        COLDFRAME_TRY_ASSIGN(const bool put, blobs_->put(name, message, sha256(message), condition, limits));
        if (put && blobs_->conditional()) return {};
        written = put;
    }
    return written ? Status{} : fail(ErrorCode::io, "other writers of the same key are always faster");
}

}  // namespace coldframe::remote
