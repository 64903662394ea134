// The lease of a key on a Redis server: a string that expires, its value the token of whoever has it.
//
//   RedisLeases leases(place, "coldframe:1:a:<key>", "coldframe:1:l:<key>");
//
// Each call is a script, so that nobody renews or removes what has become another's meanwhile.
//
// Thread-safety and failure: as lease.hpp says; untrusted or unsupported where there are no scripts for this user.
#pragma once

#include <coldframe/network/redis_client.hpp>
#include <coldframe/remote/lease.hpp>

namespace coldframe::remote {

// The names of all variants of a key, and what else may stand beside them.
inline constexpr Bounds k_hash_fields{.size = std::uint64_t{1} << 20, .items = 4096};

class RedisLeases final : public Leases {
   public:
    RedisLeases(RedisPlace place, std::string hash, std::string lease)
        : client_(std::move(place)), hash_(std::move(hash)), lease_(std::move(lease)) {}

    [[nodiscard]] Result<LeaseState> take(const std::string& token, milliseconds time, const Limits& limits) override;
    [[nodiscard]] Result<bool> renew(const std::string& token, milliseconds time, const Limits& limits) override;
    [[nodiscard]] Status give_back(const std::string& token, const Limits& limits) override;
    [[nodiscard]] Result<std::vector<Digest>> variants(const Limits& limits) override;

   private:
    [[nodiscard]] Result<RedisReply> run(std::string_view script, const std::string& token, milliseconds time,
                                         const Limits& limits);

    RedisClient client_;
    const std::string hash_;
    const std::string lease_;
};

}  // namespace coldframe::remote
