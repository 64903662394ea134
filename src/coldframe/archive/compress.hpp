// zstd, with the sizes that a .cfp records.
//
//   Result<Bytes> packed = compress(raw);
//   Result<Bytes> raw = decompress(*packed, raw_size);      // exactly raw_size bytes from exactly one frame
//
// Thread-safety: free functions; each thread keeps its own zstd contexts. Failure: decompress gives corrupt; compress internal.
#pragma once

#include <coldframe/util/bytes.hpp>
#include <coldframe/util/error.hpp>

namespace coldframe::archive {

[[nodiscard]] Result<Bytes> compress(ByteView raw, int level);
// Memory grows with what is really decoded, never to `raw_size` on its word alone.
[[nodiscard]] Result<Bytes> decompress(ByteView stored, std::uint64_t raw_size);

}  // namespace coldframe::archive
