// zstd, with the sizes that a .cfp records.
//
//   Result<Bytes> packed = compress(raw);
//   Result<Bytes> raw = decompress(*packed, raw_size);      // exactly raw_size bytes from exactly one frame
//   Result<Digest> digest = digest_decompressed(*packed, raw_size);           // of the same bytes, which are not kept
//
// Thread-safety: free functions; each thread keeps its own zstd contexts. Failure: decompressing gives corrupt; compress
// internal.
#pragma once

#include <coldframe/util/bytes.hpp>
#include <coldframe/util/digest.hpp>
#include <coldframe/util/error.hpp>

namespace coldframe::archive {

[[nodiscard]] Result<Bytes> compress(ByteView raw, int level);
// Memory grows with what is really decoded, never to `raw_size` on its word alone.
[[nodiscard]] Result<Bytes> decompress(ByteView stored, std::uint64_t raw_size);
[[nodiscard]] Result<Digest> digest_decompressed(ByteView stored, std::uint64_t raw_size);

}  // namespace coldframe::archive
