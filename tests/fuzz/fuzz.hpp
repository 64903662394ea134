// What the fuzz targets share.
//
//   require(decode(encode(*value)) == *value);     // what must hold whatever the input is
//   accept();                                      // a parser took this input
//
// A replay wants every file of a corpus accepted, so that a target cannot stop reaching its parser unnoticed; but for files
// whose name begins with "refused", which are there for what they once broke.
//
// Thread-safety: of one thread. Failure: require ends the process.
#pragma once

#include <coldframe/util/bytes.hpp>

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace coldframe::fuzz {

inline std::uint64_t accepted = 0;
inline void accept() { ++accepted; }

inline void require(bool holds) {
    if (!holds) std::abort();
}

inline std::string_view text_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline ByteView bytes_of(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

}  // namespace coldframe::fuzz
