// Code objects: whatever bytes decode are named by their digest. tests/python/core/test_core_fuzz.py goes on to CPython's.
#include <fuzz.hpp>

#include <coldframe/model/value_codec.hpp>

#include <algorithm>

using namespace coldframe;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    if (const Result<CodePtr> code = decode_code(bytes)) {
        require((*code)->digest() == sha256(bytes));
        require(std::ranges::equal(encode_code(**code).value(), bytes));
        static_cast<void>((*code)->semantic_digest());
        static_cast<void>(without_directories(*code));
        fuzz::accept();
    }
    static_cast<void>(decode_code(bytes, cbor::UnknownFields::skip));
    return 0;
}
