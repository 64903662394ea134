// Records of remotes: whatever bytes decode, encode to bytes that decode to the same.
#include <fuzz.hpp>

#include <coldframe/remote/record.hpp>

using namespace coldframe;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Result<remote::Record> record = remote::decode_record({data, size});
    if (!record) return 0;
    require(record->variants.size() <= remote::k_max_variants);
    require(remote::decode_record(remote::encode_record(*record)).value() == *record);
    fuzz::accept();
    return 0;
}
