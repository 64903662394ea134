#include <coldframe/remote/upload.hpp>

#include <coldframe/remote/download.hpp>

namespace coldframe::remote {

Result<Uploaded> upload(store::DiskStore& local, Remote& remote, const UploadRequest& request) {
    const Result<store::StoredVariant> variant = local.read_variant(request.key, request.id);
    if (!variant) return std::unexpected(variant.error());
    const Listed listed = listed_of(request.id, variant->manifest.size(), variant->objects);
    const auto overwrite = [&](const Digest& digest) {
        return request.overwrite || request.damaged.contains(digest) ? Overwrite::yes : Overwrite::no;
    };
    Uploaded uploaded;
    const auto count = [&](std::uint64_t bytes) {
        uploaded.bytes += bytes;
        local.counters().add(store::Counter::remote_bytes_written, bytes);
        if (request.progress) request.progress(bytes);
    };
    for (const Blob& object : listed.objects) {
        if (object.size <= remote.max_object_size()) continue;
        return fail(ErrorCode::no_space, "an object of " + std::to_string(object.size) + " bytes is too large for the remote");
    }
    for (const archive::Entry& entry : variant->objects) {
        const Blob object{entry.stored_digest, entry.stored_size};
        if (overwrite(object.digest) == Overwrite::no) {
            const Result<bool> there = remote.has_object(object, limits_for(request.limits, 0));
            if (!there) return std::unexpected(there.error());
            if (*there) continue;
        }
        const Result<Bytes> bytes = local.read_object(entry);
        if (!bytes) return std::unexpected(bytes.error());
        // What has another size there has to be replaced.
        if (Status put = remote.put_object(object, *bytes, Overwrite::yes, limits_for(request.limits, object.size)); !put) {
            return std::unexpected(std::move(put.error()));
        }
        ++uploaded.objects;
        count(object.size);
    }
    const Limits limits = limits_for(request.limits, listed.manifest.size);
    if (Status put = remote.put_manifest(request.key, listed, variant->manifest, overwrite(request.id), limits); !put) {
        return std::unexpected(std::move(put.error()));
    }
    count(listed.manifest.size);
    return uploaded;
}

}  // namespace coldframe::remote
