// Blobs in memory with leases beside them: what a server that keeps leases looks like to the hosts.
//
//   auto server = std::make_shared<LeaseServer>();
//   TieredStore store(scratch.open(), server->source());
//   server->take_for_good(key, "another host", 500ms);          // and nobody renews it
//
// Thread-safety: as its mutex says.
#pragma once

#include <remote/support.hpp>

#include <coldframe/remote/lease.hpp>

namespace coldframe::testing {

struct LeaseServer : std::enable_shared_from_this<LeaseServer> {
    struct Held {
        std::string holder;
        remote::SteadyTime expires;
    };

    std::mutex mutex;
    std::map<Digest, Held> leases;
    std::optional<ErrorCode> failure;
    bool fails_once = false;
    std::atomic<std::size_t> calls = 0;  // about leases
    const std::shared_ptr<MemoryServer> blobs = std::make_shared<MemoryServer>();

    [[nodiscard]] remote::RemoteSource source();

    void take_for_good(const Digest& key, const std::string& holder, remote::milliseconds time) {
        const std::lock_guard lock(mutex);
        leases[key] = {holder, std::chrono::steady_clock::now() + time};
    }
    void release(const std::string& holder) {
        const std::lock_guard lock(mutex);
        std::erase_if(leases, [&](const auto& lease) { return lease.second.holder == holder; });
    }
    void fail_once(ErrorCode code) {
        const std::lock_guard lock(mutex);
        failure = code;
        fails_once = true;
    }
    void fail_from_now_on(ErrorCode code) {
        const std::lock_guard lock(mutex);
        failure = code;
    }
    [[nodiscard]] std::size_t held() {
        const std::lock_guard lock(mutex);
        expire();
        return leases.size();
    }
    [[nodiscard]] std::string holder(const Digest& key) {
        const std::lock_guard lock(mutex);
        expire();
        return leases.contains(key) ? leases[key].holder : "";
    }

    // With the mutex held.
    void expire() {
        std::erase_if(leases, [](const auto& lease) { return lease.second.expires <= std::chrono::steady_clock::now(); });
    }
    // With the mutex held.
    std::optional<Error> enter() {
        ++calls;
        expire();
        if (!failure) return std::nullopt;
        const Error error{*failure, "as told", {}};
        if (fails_once) failure.reset();
        return error;
    }
};

class MemoryLeases final : public remote::Leases {
   public:
    MemoryLeases(std::shared_ptr<LeaseServer> server, const Digest& key) : server_(std::move(server)), key_(key) {}

    Result<remote::LeaseState> take(const std::string& token, remote::milliseconds time, const remote::Limits&) override {
        const std::lock_guard lock(server_->mutex);
        if (auto error = server_->enter()) return std::unexpected(*error);
        const auto now = std::chrono::steady_clock::now();
        const auto& held = server_->leases.try_emplace(key_, token, now + time).first->second;
        return remote::LeaseState{held.holder, std::chrono::duration_cast<remote::milliseconds>(held.expires - now)};
    }
    Result<bool> renew(const std::string& token, remote::milliseconds time, const remote::Limits&) override {
        const std::lock_guard lock(server_->mutex);
        if (auto error = server_->enter()) return std::unexpected(*error);
        const auto held = server_->leases.find(key_);
        if (held == server_->leases.end() || held->second.holder != token) return false;
        held->second.expires = std::chrono::steady_clock::now() + time;
        return true;
    }
    Status give_back(const std::string& token, const remote::Limits&) override {
        const std::lock_guard lock(server_->mutex);
        if (auto error = server_->enter()) return std::unexpected(*error);
        const auto held = server_->leases.find(key_);
        if (held != server_->leases.end() && held->second.holder == token) server_->leases.erase(held);
        return {};
    }
    Result<std::vector<Digest>> variants(const remote::Limits& limits) override {
        const auto connection = server_->blobs->source().connect();
        const Result<remote::Record> record = connection->get_record(key_, limits);
        if (!record) return std::unexpected(record.error());
        std::vector<Digest> ids;
        for (const remote::Listed& listed : record->variants) ids.push_back(listed.manifest.digest);
        return ids;
    }

   private:
    const std::shared_ptr<LeaseServer> server_;
    const Digest key_;
};

class LeasingRemote final : public remote::Remote {
   public:
    explicit LeasingRemote(std::shared_ptr<LeaseServer> server)
        : server_(std::move(server)), blobs_(server_->blobs->source().connect()) {}

    Result<remote::Record> get_record(const Digest& key, const remote::Limits& limits) override {
        return blobs_->get_record(key, limits);
    }
    Result<Bytes> get_manifest(const Digest& key, const remote::Blob& manifest, const remote::Limits& limits) override {
        return blobs_->get_manifest(key, manifest, limits);
    }
    Result<Bytes> get_object(const remote::Blob& object, const remote::Limits& limits) override {
        return blobs_->get_object(object, limits);
    }
    Result<bool> has_object(const remote::Blob& object, const remote::Limits& limits) override {
        return blobs_->has_object(object, limits);
    }
    Status put_object(const remote::Blob& object, ByteView bytes, remote::Overwrite overwrite,
                      const remote::Limits& limits) override {
        return blobs_->put_object(object, bytes, overwrite, limits);
    }
    Status put_manifest(const Digest& key, const remote::Listed& variant, ByteView bytes, remote::Overwrite overwrite,
                        const remote::Limits& limits) override {
        return blobs_->put_manifest(key, variant, bytes, overwrite, limits);
    }
    store::Joined join(const Digest& key, const remote::RemoteJoin& how) override {
        return remote::join_by_lease(std::make_unique<MemoryLeases>(server_, key), how);
    }

   private:
    const std::shared_ptr<LeaseServer> server_;
    const std::unique_ptr<remote::Remote> blobs_;
};

inline remote::RemoteSource LeaseServer::source() {
    return {"memory",
            [self = shared_from_this()] -> std::unique_ptr<remote::Remote> { return std::make_unique<LeasingRemote>(self); }};
}

}  // namespace coldframe::testing
