// What the tests of remotes share: blobs in memory that every connection sees, and that do as they are told.
//
//   auto shared = std::make_shared<MemoryServer>();
//   TieredStore store(scratch.open(), shared->source());
//   shared->fail = [](const std::string& call) { ... };         // an error for that call: "get cas/ab/abcd..."
//
// Thread-safety: as its mutex says.
#pragma once

#include <coldframe/remote/blob_remote.hpp>
#include <coldframe/remote/tiered_store.hpp>

#include <store/support.hpp>

#include <map>
#include <mutex>

namespace coldframe::testing {

struct MemoryServer : std::enable_shared_from_this<MemoryServer> {
    std::mutex mutex;
    std::map<std::string, Bytes> blobs;
    std::vector<std::string> calls;
    bool conditional = false;
    std::function<std::optional<Error>(const std::string& call)> fail;
    std::function<void(const std::string& name)> before_put;  // another writer

    [[nodiscard]] remote::RemoteSource source();
    [[nodiscard]] std::vector<std::string> names() {
        const std::lock_guard lock(mutex);
        std::vector<std::string> found;
        for (const auto& [name, bytes] : blobs) found.push_back(name);
        return found;
    }
};

class MemoryBlobs final : public remote::Blobs {
   public:
    explicit MemoryBlobs(std::shared_ptr<MemoryServer> server) : server_(std::move(server)) {}

    Result<std::optional<Content>> get(const std::string& name, std::uint64_t max_size, const remote::Limits&) override {
        if (auto error = enter("get " + name)) return std::unexpected(*error);
        const std::lock_guard lock(server_->mutex);
        const auto found = server_->blobs.find(name);
        if (found == server_->blobs.end()) return std::nullopt;
        if (found->second.size() > max_size) return coldframe::fail(ErrorCode::corrupt, "too large");
        return Content{found->second, to_hex(sha256(found->second))};
    }
    Result<bool> has(const std::string& name, std::uint64_t size, const remote::Limits&) override {
        if (auto error = enter("has " + name)) return std::unexpected(*error);
        const std::lock_guard lock(server_->mutex);
        const auto found = server_->blobs.find(name);
        return found != server_->blobs.end() && found->second.size() == size;
    }
    Result<bool> put(const std::string& name, ByteView bytes, const Digest&, const Condition& condition,
                     const remote::Limits&) override {
        if (server_->before_put) server_->before_put(name);
        if (auto error = enter("put " + name)) return std::unexpected(*error);
        const std::lock_guard lock(server_->mutex);
        const auto found = server_->blobs.find(name);
        const bool there = found != server_->blobs.end();
        if (server_->conditional && condition.absent && there) return false;
        if (server_->conditional && !condition.version.empty() &&
            (!there || to_hex(sha256(found->second)) != condition.version)) {
            return false;
        }
        server_->blobs[name] = Bytes(bytes.begin(), bytes.end());
        return true;
    }
    bool conditional() const override { return server_->conditional; }

   private:
    std::optional<Error> enter(const std::string& call) {
        const std::lock_guard lock(server_->mutex);
        server_->calls.push_back(call);
        return server_->fail ? server_->fail(call) : std::nullopt;
    }
    std::shared_ptr<MemoryServer> server_;
};

inline remote::RemoteSource MemoryServer::source() {
    return {"memory", [self = shared_from_this()] -> std::unique_ptr<remote::Remote> {
                const auto connect = [self] { return std::make_unique<MemoryBlobs>(self); };
                return std::make_unique<remote::BlobRemote>(connect(), remote::Layout::sharded, connect);
            }};
}

}  // namespace coldframe::testing
