// A package taken apart: its manifest and the parts that it refers to, each once, and each as it will lie on disk.
//
//   Result<std::vector<Part>> parts = collect_parts(package);      // part 0 is the manifest
//   Result<PackedPart> packed = pack((*parts)[1]);                 // compressed where that pays, with both digests
//
// Thread-safety: free functions. Failure: invalid_argument for a package that breaks the model's rules or the format's limits,
// and what reading a blob gives.
#pragma once

#include <coldframe/archive/format.hpp>
#include <coldframe/model/package.hpp>

#include <vector>

namespace coldframe::archive {

inline constexpr int k_compression_level = 3;
inline constexpr std::uint64_t k_min_compressed_size = 1024;  // smaller parts are stored as they are

struct Part {
    PartKind kind = PartKind::blob;
    Bytes bytes;   // of a document
    BlobPtr blob;  // or the blob
};

struct PackedPart {
    Entry entry;  // everything but its offset
    Bytes stored;
};

// In the order in which the manifest first refers to them.
[[nodiscard]] Result<std::vector<Part>> collect_parts(const Package& package);
[[nodiscard]] Result<PackedPart> pack(const Part& part);

}  // namespace coldframe::archive
