// Shared libraries without what is there for debuggers alone.
//
//   Bytes smaller = without_debug_info(library);      // loads and runs as before
//
// Compilers write the paths of the host into it, and more than half of a small kernel's bytes are its.
//
// Thread-safety: a free function. Failure: none; what is not a 64-bit little-endian ELF file, or looks odd, comes back as it
// is.
#pragma once

#include <coldframe/util/bytes.hpp>

namespace coldframe {

[[nodiscard]] Bytes without_debug_info(ByteView library);

}  // namespace coldframe
