// Shared libraries: what is taken out of them, and what is masked in them.
#include <fuzz.hpp>

#include <coldframe/util/elf.hpp>

#include <algorithm>

using namespace coldframe;
using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView library(data, size);
    Bytes smaller = without_debug_info(library);
    require(smaller.size() <= size);
    require(without_debug_info(smaller) == smaller);
    if (smaller.size() < size) fuzz::accept();
    const Bytes before = smaller;
    mask_source_paths(smaller, {"/usr/include", "/home"});
    require(smaller.size() == before.size());
    for (std::size_t i = 0; i < before.size(); ++i) require(smaller[i] == before[i] || smaller[i] == '.');
    return 0;
}
