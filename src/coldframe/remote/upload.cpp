#include <coldframe/remote/upload.hpp>

#include <coldframe/remote/download.hpp>
#include <coldframe/util/try.hpp>

namespace coldframe::remote {

Result<Uploaded> upload(store::DiskStore& local, Remote& remote, const UploadRequest& request) {
    COLDFRAME_TRY_ASSIGN(const store::StoredVariant variant, local.read_variant(request.key, request.id));
    const Listed listed = listed_of(request.id, variant.manifest.size(), variant.objects);
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
    for (const archive::Entry& entry : variant.objects) {
        const Blob object{entry.stored_digest, entry.stored_size};
        if (overwrite(object.digest) == Overwrite::no) {
            COLDFRAME_TRY_ASSIGN(const bool there, remote.has_object(object, limits_for(request.limits, 0)));
            if (there) continue;
        }
        COLDFRAME_TRY_ASSIGN(const Bytes bytes, local.read_object(entry));
        // What has another size there has to be replaced.
        COLDFRAME_TRY(remote.put_object(object, bytes, Overwrite::yes, limits_for(request.limits, object.size)));
        ++uploaded.objects;
        count(object.size);
    }
    const Limits limits = limits_for(request.limits, listed.manifest.size);
    COLDFRAME_TRY(remote.put_manifest(request.key, listed, variant.manifest, overwrite(request.id), limits));
    count(listed.manifest.size);
    return uploaded;
}

}  // namespace coldframe::remote
