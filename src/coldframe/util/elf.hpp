// Shared libraries without what compilers write of the host that they run on.
//
//   Bytes smaller = without_debug_info(library);      // loads and runs as before
//   mask_source_paths(smaller, {"/home/me/torch"});   // "/home/me/torch/include/a.h" -> "....................../a.h"
//
// More than half of a small kernel's bytes are there for debuggers alone. Names of source files (__FILE__) stand among its
// constants, and keep their length: strings may share their ends.
//
// Thread-safety: free functions. Failure: none; what is not a 64-bit little-endian ELF file, or looks odd, comes back as it
// is.
#pragma once

#include <coldframe/util/bytes.hpp>

#include <string>
#include <vector>

namespace coldframe {

[[nodiscard]] Bytes without_debug_info(ByteView library);

// Of each text that begins with one of `directories` (of 4 bytes or more) and names a source file: dots for all but the last
// part.
void mask_source_paths(Bytes& library, const std::vector<std::string>& directories);

}  // namespace coldframe
