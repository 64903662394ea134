// Documents: whatever bytes decode, encode to the same bytes.
#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/value_codec.hpp>

#include <algorithm>
#include <cstdlib>

using namespace coldframe;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    if (const Result<Value> value = decode(bytes)) {
        require(std::ranges::equal(encode(*value).value(), bytes));
        require(decode(bytes).value() == *value);
    }
    if (const Result<GuardProgram> guards = decode_guards(bytes)) {
        require(std::ranges::equal(encode_guards(*guards).value(), bytes));
    }
    if (const Result<CodePtr> code = decode_code(bytes)) require((*code)->digest() == sha256(bytes));
    static_cast<void>(decode_guards(bytes, cbor::UnknownFields::skip));
    static_cast<void>(decode_code(bytes, cbor::UnknownFields::skip));
    return 0;
}
