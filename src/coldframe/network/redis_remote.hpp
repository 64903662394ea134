// A Redis server as a remote tier.
//
//   coldframe:1:o:<sha256>:<i>   the i-th 4 MiB of an object
//   coldframe:1:a:<key>          a hash: for each variant, its manifest, in a field named by the manifest's digest
//   coldframe:1:l:<key>          the lease of a key: see redis_leases.hpp
//
// So variants are written side by side and no writer loses another's; beyond 16, one that is there already makes room. All keys
// expire two weeks after they were last written or used.
//
// Thread-safety: one object serves one thread. Failure: as remote.hpp says.
#pragma once

#include <coldframe/network/redis_client.hpp>
#include <coldframe/remote/remote.hpp>

#include <map>

namespace coldframe::remote {

struct RedisOptions {
    std::uint64_t chunk_size = std::uint64_t{4} << 20;
    std::uint64_t max_object_size = std::uint64_t{64} << 20;  // larger ones would push out everything else
    std::uint64_t expire_seconds = std::uint64_t{14} * 24 * 3600;
};

class RedisRemote final : public Remote {
   public:
    explicit RedisRemote(RedisPlace place, const RedisOptions& options = {})
        : place_(place), client_(std::move(place)), options_(options), expire_(std::to_string(options.expire_seconds)) {}

    [[nodiscard]] Result<Record> get_record(const Digest& key, const Limits& limits) override;
    [[nodiscard]] Result<Bytes> get_manifest(const Digest& key, const Blob& manifest, const Limits& limits) override;
    [[nodiscard]] Result<Bytes> get_object(const Blob& object, const Limits& limits) override;
    [[nodiscard]] Result<bool> has_object(const Blob& object, const Limits& limits) override;
    [[nodiscard]] Status put_object(const Blob& object, ByteView bytes, Overwrite overwrite, const Limits& limits) override;
    [[nodiscard]] Status put_manifest(const Digest& key, const Listed& variant, ByteView bytes, Overwrite overwrite,
                                      const Limits& limits) override;
    [[nodiscard]] Status keep(const Digest& key, const Listed& variant, const Limits& limits) override;
    [[nodiscard]] store::Joined join(const Digest& key, const RemoteJoin& how) override;
    [[nodiscard]] std::uint64_t max_object_size() const override { return options_.max_object_size; }

   private:
    [[nodiscard]] std::uint64_t chunk_count(std::uint64_t size) const;
    [[nodiscard]] Status make_room(const std::string& hash, const std::string& id, const Limits& limits);
    [[nodiscard]] Status expire(const std::string& name, const Limits& limits);

    const RedisPlace place_;
    RedisClient client_;
    RedisOptions options_;
    std::string expire_;
    std::map<Digest, Bytes> manifests_;  // that came with the last record
};

}  // namespace coldframe::remote
