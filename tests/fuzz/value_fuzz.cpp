// Values: whatever bytes decode, encode to the same bytes.
#include <fuzz.hpp>

#include <coldframe/model/value_codec.hpp>

#include <algorithm>

using namespace coldframe;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    const Result<Value> value = decode(bytes);
    if (!value) return 0;
    require(std::ranges::equal(encode(*value).value(), bytes));
    require(decode(bytes).value() == *value);
    fuzz::accept();
    return 0;
}
