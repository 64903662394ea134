// A local store with a remote behind it.
//
//   auto local = DiskStore::open(path).value();
//   RemoteSource source = open_remote("https://cache.example.com/coldframe").value();
//   TieredStore store(std::move(local), std::move(source));
//   Result<Found> found = store.get(key);                // here; else from the remote, verified and now here as well
//   store.put(package);                                  // here at once; the remote gets it in the background
//   bool uploaded = store.wait(5s);
//
// Whatever the remote does, a lookup gives what the local store gives, or more, and all lookups together wait little for
// nothing: docs/remote.md says how little. What it refuses it says in Found::refusals.
//
// A remote's packages are run as code. Digests find accidents; they do not protect from who may write the remote.
//
// Thread-safety: as store.hpp says; a forked child may go on using it. Failure: the local store's alone.
#pragma once

#include <coldframe/remote/session.hpp>

namespace coldframe::remote {

class TieredStore final : public store::Store {
   public:
    TieredStore(std::unique_ptr<store::DiskStore> local, RemoteSource source, const TieredOptions& options = {});
    TieredStore(const TieredStore&) = delete;
    TieredStore& operator=(const TieredStore&) = delete;
    ~TieredStore() override;

    [[nodiscard]] store::DiskStore& local() { return *local_; }
    [[nodiscard]] const std::string& remote_name() const { return source_.name; }
    // Whether all that was put has been uploaded, or given up.
    [[nodiscard]] bool wait(milliseconds at_most);
    // Waits as long as that for uploads; from then on nothing is uploaded any more.
    void close(milliseconds at_most);

    [[nodiscard]] Result<store::Found> get(const PackageKey& key) override;
    [[nodiscard]] Result<store::Found> get(const Digest& key) override;
    [[nodiscard]] Result<store::PutReport> put(const Package& package) override;
    // Among the processes of this host, and then, for the one that leads them, among the hosts.
    [[nodiscard]] store::Joined join(const Digest& key, const store::JoinOptions& options) override;
    // The rest is about the local store.
    [[nodiscard]] Result<std::uint64_t> trim(const Digest& key, std::size_t keep) override { return local_->trim(key, keep); }
    [[nodiscard]] Status note_miss(const store::MissNote& miss) override { return local_->note_miss(miss); }
    [[nodiscard]] Result<std::vector<store::MissNote>> misses() override { return local_->misses(); }
    [[nodiscard]] Result<std::uint64_t> remove(const Digest& key, const std::optional<Digest>& id = std::nullopt) override {
        return local_->remove(key, id);
    }
    [[nodiscard]] Result<std::vector<store::Item>> list() override { return local_->list(); }
    [[nodiscard]] Result<store::CollectReport> collect(const store::CollectOptions& options = {}) override {
        return local_->collect(options);
    }
    [[nodiscard]] Result<store::CheckReport> check(store::Repair repair = store::Repair::no,
                                                   const store::Progress& progress = {}) override {
        return local_->check(repair, progress);
    }
    [[nodiscard]] Result<store::Statistics> statistics() override { return local_->statistics(); }
    [[nodiscard]] Status flush() override { return local_->flush(); }

   private:
    [[nodiscard]] Session& session();
    [[nodiscard]] Result<store::Found> look_further(const Digest& key, Result<store::Found> found);

    const std::shared_ptr<store::DiskStore> local_;
    const RemoteSource source_;
    const TieredOptions options_;  // with a local store for reading only, the remote is, too
    std::atomic<Session*> session_;
};

}  // namespace coldframe::remote
