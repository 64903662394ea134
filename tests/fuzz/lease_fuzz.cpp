// The lease of a key and its record, as a server gives them.
#include <fuzz.hpp>

#include <coldframe/remote/blob_leases.hpp>

using namespace coldframe;
using namespace coldframe::remote;

namespace {

// One blob under every name, until it is written.
class SameBlobs final : public Blobs {
   public:
    explicit SameBlobs(ByteView bytes) : bytes_(bytes.begin(), bytes.end()) {}

    Result<std::optional<Content>> get(const std::string&, std::uint64_t max_size, const Limits&) override {
        if (bytes_.size() > max_size) return fail(ErrorCode::corrupt, "too large");
        return Content{bytes_, "version"};
    }
    Result<bool> has(const std::string&, std::uint64_t, const Limits&) override { return true; }
    Result<bool> put(const std::string&, ByteView bytes, const Digest&, const Condition&, const Limits&) override {
        bytes_.assign(bytes.begin(), bytes.end());
        return true;
    }
    [[nodiscard]] bool conditional() const override { return true; }

   private:
    Bytes bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr milliseconds k_time{0};  // so whatever is there has expired
    BlobLeases leases(std::make_unique<SameBlobs>(ByteView(data, size)), "record", "lease");
    static_cast<void>(leases.variants({}));
    const Result<LeaseState> state = leases.take("token", k_time, {});
    if (!state || state->holder != "token") return 0;
    fuzz::require(leases.renew("token", k_time, {}).value());
    fuzz::require(leases.give_back("token", {}).has_value());
    fuzz::require(!leases.renew("token", k_time, {}).value());
    if (fuzz::text_of({data, size}).starts_with("coldframe lease 1\n")) fuzz::accept();
    return 0;
}
