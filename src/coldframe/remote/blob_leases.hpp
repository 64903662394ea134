// The lease of a key among blobs that can be written on conditions, as S3 has them.
//
//   BlobLeases leases(std::move(blobs), "ac/ab/<key>", "lease/ab/<key>");
//
// The blob holds a line that says what it is, and one of the holder's token, a number that grows when it is renewed, and
// whether the one before had given it back (`free`) or had let it expire (`expired`); the first line alone when it is nobody's.
// Whoever writes it does so on the condition that nobody has meanwhile. There are no clocks: it has expired for who has seen
// the same bytes for as long as the lease is long; so has one that is damaged.
//
// Thread-safety and failure: as lease.hpp says; unsupported where the server turns out not to know conditions.
#pragma once

#include <coldframe/remote/blob_remote.hpp>
#include <coldframe/remote/lease.hpp>

namespace coldframe::remote {

class BlobLeases final : public Leases {
   public:
    BlobLeases(std::unique_ptr<Blobs> blobs, std::string record, std::string lease)
        : blobs_(std::move(blobs)), record_(std::move(record)), lease_(std::move(lease)) {}

    [[nodiscard]] Result<LeaseState> take(const std::string& token, milliseconds time, const Limits& limits) override;
    [[nodiscard]] Result<bool> renew(const std::string& token, milliseconds time, const Limits& limits) override;
    [[nodiscard]] Status give_back(const std::string& token, const Limits& limits) override;
    [[nodiscard]] Result<std::vector<Digest>> variants(const Limits& limits) override;

   private:
    // Whether it was written: nobody else has done so meanwhile.
    [[nodiscard]] Result<bool> write(const std::string& text, const std::optional<Blobs::Content>& over, const Limits& limits);
    // What is there, if it is the token's.
    [[nodiscard]] Result<std::optional<Blobs::Content>> own(const std::string& token, const Limits& limits);

    const std::unique_ptr<Blobs> blobs_;
    const std::string record_;
    const std::string lease_;
    std::uint64_t renewals_ = 0;
    Bytes seen_;
    SteadyTime since_{};
};

}  // namespace coldframe::remote
