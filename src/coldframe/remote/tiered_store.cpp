#include <coldframe/remote/tiered_store.hpp>

#include <unistd.h>

#include <cmath>

namespace coldframe::remote {
namespace {

void count_saved(store::Counters& counters, const std::vector<store::Variant>& variants) {
    for (const store::Variant& variant : variants) {
        const double saved = variant.package.compile_seconds * 1000;
        if (std::isfinite(saved) && saved > 0 && saved < 1e12) {
            counters.add(store::Counter::milliseconds_saved, static_cast<std::uint64_t>(saved));
        }
    }
}

TieredOptions as_local(TieredOptions options, const store::DiskStore& local) {
    if (local.read_only()) options.access = store::Access::read_only;
    return options;
}

}  // namespace

TieredStore::TieredStore(std::unique_ptr<store::DiskStore> local, RemoteSource source, const TieredOptions& options)
    : local_(std::move(local)),
      source_(std::move(source)),
      options_(as_local(options, *local_)),
      session_(new Session(local_, source_, options_)) {}

TieredStore::~TieredStore() {
    Session* present = session_.load();
    if (present->process() == ::getpid()) delete present;
}

Session& TieredStore::session() {
    Session* present = session_.load();
    if (present->process() == ::getpid()) return *present;
    // The parent's is neither used nor destroyed: its thread is not here, and its connections are the parent's.
    auto own = std::make_unique<Session>(local_, source_, options_);
    if (session_.compare_exchange_strong(present, own.get())) return *own.release();
    return *present;
}

bool TieredStore::wait(milliseconds at_most) { return session().wait(at_most); }

void TieredStore::close(milliseconds at_most) {
    session().close(at_most);
    ignore_failure(local_->flush());
}

Result<store::Found> TieredStore::get(const PackageKey& key) { return look_further(store::key_digest(key), local_->get(key)); }

Result<store::Found> TieredStore::get(const Digest& key) { return look_further(key, local_->get(key)); }

Result<store::Found> TieredStore::look_further(const Digest& key, Result<store::Found> found) {
    if (!found || !found->variants.empty()) return found;
    Downloaded downloaded = session().look_up(key);
    if (downloaded.backfilled != 0) {
        // Without what was refused before: it has been replaced.
        if (Result<store::Found> again = local_->get_again(key)) found = std::move(again);
    }
    for (store::Variant& variant : downloaded.variants) found->variants.push_back(std::move(variant));
    for (store::Refusal& refusal : downloaded.refusals) {
        refusal.error = std::move(refusal.error).with("in the remote '" + source_.name + "'");
        found->refusals.push_back(std::move(refusal));
    }
    count_saved(local_->counters(), found->variants);
    return found;
}

store::Joined TieredStore::join(const Digest& key, const store::JoinOptions& options) {
    const SteadyTime end = std::chrono::steady_clock::now() + options.wait;
    store::Joined joined = local_->join(key, options);
    if (joined.role != store::Role::leader) return joined;
    store::JoinOptions rest = options;
    rest.wait = std::max(std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now()), milliseconds(0));
    return session().join(key, rest, std::move(joined.flight));
}

Result<store::PutReport> TieredStore::put(const Package& package) {
    Result<store::PutReport> report = local_->put(package);
    if (report) session().upload(report->key, report->id);
    return report;
}

}  // namespace coldframe::remote
