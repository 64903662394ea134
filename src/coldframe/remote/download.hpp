// One lookup on a remote: what it has for a key, verified, and put into the local store.
//
//   Download download(remote, local, {.limits = limits});
//   Downloaded result = download.run(key);
//   if (result.backfilled) found = local.get_again(key);              // they are served from there
//   for (Variant& variant : result.variants) ...                      // or from memory, where the local store takes nothing
//
// The order is: the record; of each variant the manifest, by its digest, all that is in it, and its key; then each object that
// is not here yet, by its digest. Only a variant of which everything is sound gets into the local store, its manifest last.
//
// Thread-safety: one object serves one thread. Failure: in the result, as refusals, each with its reason.
#pragma once

#include <coldframe/remote/remote.hpp>
#include <coldframe/store/disk_store.hpp>

#include <set>

namespace coldframe::remote {

struct DownloadOptions {
    Limits limits;  // of each call; `end` is set anew for what each asks for
    std::function<void(std::uint64_t bytes)> progress;
    std::set<Digest> known{};  // variants that are left where they are
};

struct Downloaded {
    std::uint64_t backfilled = 0;
    std::vector<store::Variant> variants;
    std::vector<Listed> served;  // all that were sound
    std::vector<store::Refusal> refusals;
    std::set<Digest> damaged;  // objects and manifests that are not what their name says, or not there
};

class Download {
   public:
    Download(Remote& remote, store::DiskStore& local, DownloadOptions options)
        : remote_(remote), local_(local), options_(std::move(options)) {}

    [[nodiscard]] Downloaded run(const Digest& key);

   private:
    class Fetch;
    [[nodiscard]] Status take(const Digest& key, const Listed& listed);
    [[nodiscard]] Result<Bytes> get_manifest(const Digest& key, const Listed& listed);
    [[nodiscard]] Result<Bytes> get_object(const archive::Entry& entry);
    void count(std::uint64_t bytes);
    void refuse(const std::string& name, Error error);

    Remote& remote_;
    store::DiskStore& local_;
    DownloadOptions options_;
    Downloaded result_;
};

// Limits of a call that moves so many bytes.
[[nodiscard]] Limits limits_for(Limits limits, std::uint64_t size);
[[nodiscard]] store::Counter remote_counter(ErrorCode code);
[[nodiscard]] Listed listed_of(const Digest& id, std::uint64_t size, std::span<const archive::Entry> entries);

}  // namespace coldframe::remote
