// Guard programs: whatever bytes decode, encode to the same bytes.
#include <fuzz.hpp>

#include <coldframe/model/guard_codec.hpp>

#include <algorithm>

using namespace coldframe;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    if (const Result<GuardProgram> guards = decode_guards(bytes)) {
        require(std::ranges::equal(encode_guards(*guards).value(), bytes));
        fuzz::accept();
    }
    static_cast<void>(decode_guards(bytes, cbor::UnknownFields::skip));
    return 0;
}
