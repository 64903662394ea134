// Records of remotes: whatever bytes decode, encode to bytes that decode to the same.
#include <coldframe/remote/record.hpp>
#include <coldframe/remote/url.hpp>

#include <cstdlib>

using namespace coldframe;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    if (const Result<remote::Record> record = remote::decode_record(bytes)) {
        require(record->variants.size() <= remote::k_max_variants);
        require(remote::decode_record(remote::encode_record(*record)).value() == *record);
    }
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const Result<remote::Url> url = remote::parse_url(text)) require(!url->scheme.empty());
    return 0;
}
