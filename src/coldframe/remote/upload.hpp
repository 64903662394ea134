// One variant of the local store, brought to a remote: objects first, the record last, and nothing that is there already.
//
//   Result<Uploaded> uploaded = upload(local, remote, {.key = key, .id = id, .limits = limits});
//
// Thread-safety: free function; the remote serves one thread. Failure: not_found when the local store has it no more; no_space
// when an object is too large for that remote; and what the remote gives.
#pragma once

#include <coldframe/remote/remote.hpp>
#include <coldframe/store/disk_store.hpp>

#include <set>

namespace coldframe::remote {

struct UploadRequest {
    Digest key{};
    Digest id{};
    Limits limits;             // of each call, as for a download
    std::set<Digest> damaged;  // known to be wrong there: written again
    bool overwrite = false;    // all of it
    std::function<void(std::uint64_t bytes)> progress;
};

struct Uploaded {
    std::uint64_t objects = 0;  // that were not there
    std::uint64_t bytes = 0;
};

[[nodiscard]] Result<Uploaded> upload(store::DiskStore& local, Remote& remote, const UploadRequest& request);

}  // namespace coldframe::remote
