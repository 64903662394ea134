// The fixed bytes of a .cfp file: header and table. docs/format.md is the specification.
//
//   file    = header padding? table padding part *(padding part)      ; padding: zeros up to a multiple of 64
//   header  = magic version sizes digest-of-table digest-of-header    ; 128 bytes
//   table   = 1*entry                                                 ; 96 bytes each; entry 0 is the manifest
//
// The header's digest covers the header, which has the digest of the table, which has the digests of every part: it names
// the whole file. All integers are little-endian.
//
// A store keeps large blobs apart from the rest, so that packages share them. The file of such a package has the same bytes
// under another magic, and the entries of those blobs have offset 0: docs/store.md.
//
// Thread-safety: values and free functions. Failure: corrupt, or unsupported for a newer version, each naming the field.
#pragma once

#include <coldframe/model/package_codec.hpp>
#include <coldframe/util/digest.hpp>
#include <coldframe/util/error.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace coldframe::archive {

inline constexpr std::array<std::uint8_t, 8> k_magic = {0x89, 'C', 'F', 'P', 0x0d, 0x0a, 0x1a, 0x0a};
inline constexpr std::array<std::uint8_t, 8> k_detached_magic = {0x89, 'C', 'F', 'M', 0x0d, 0x0a, 0x1a, 0x0a};
inline constexpr std::uint16_t k_major_version = 1;
inline constexpr std::uint16_t k_minor_version = 0;
inline constexpr std::size_t k_header_size = 128;
inline constexpr std::size_t k_entry_size = 96;
inline constexpr std::uint64_t k_alignment = 64;

// Limits: what a reader refuses before it allocates anything.
inline constexpr std::uint32_t k_max_entries = 1u << 16;
inline constexpr std::uint64_t k_max_file_size = std::uint64_t{1} << 40;
inline constexpr std::uint64_t k_max_document_size = std::uint64_t{64} << 20;  // manifest, code, guards; raw
inline constexpr std::uint64_t k_max_blob_size = std::uint64_t{1} << 36;       // raw

enum class Codec : std::uint32_t { stored = 0, zstd = 1 };

struct Version {
    std::uint16_t major = k_major_version;
    std::uint16_t minor = k_minor_version;
    bool operator==(const Version&) const = default;
};

// Kernels and constants compress a little, so many zeros that they would compress more are stored as they are: nothing small
// becomes too large for the memory of whoever reads it.
inline constexpr std::uint64_t k_max_ratio = 256;
[[nodiscard]] constexpr std::uint64_t max_decompressed_size(std::uint64_t stored_size) {
    return k_max_document_size + k_max_ratio * std::min(stored_size, k_max_file_size);
}

// Whether all parts lie in the file, or large blobs elsewhere, by the digest of their stored bytes.
enum class Layout : std::uint8_t { whole, detached };

struct Header {
    Layout layout = Layout::whole;
    Version version;
    std::uint64_t file_size = 0;
    std::uint32_t entry_count = 0;
    Digest table_digest{};
    Digest digest{};  // of the header itself
};

struct Entry {
    PartKind kind = PartKind::blob;
    Codec codec = Codec::stored;
    std::uint64_t offset = 0;
    std::uint64_t stored_size = 0;
    std::uint64_t raw_size = 0;
    Digest stored_digest{};
    Digest raw_digest{};
    bool operator==(const Entry&) const = default;
    [[nodiscard]] bool is_detached() const { return kind == PartKind::blob && offset == 0; }
};

[[nodiscard]] constexpr std::uint64_t aligned(std::uint64_t offset) {
    return (offset + k_alignment - 1) / k_alignment * k_alignment;
}
[[nodiscard]] constexpr std::uint64_t table_end(std::uint64_t entry_count) {
    return k_header_size + entry_count * k_entry_size;
}

[[nodiscard]] Bytes encode_table(const std::vector<Entry>& entries);
[[nodiscard]] Bytes encode_header(const Header& header);  // computes header.digest anew

// `bytes`: what the file begins with, at most k_header_size; `file_size`: as the file system says.
[[nodiscard]] Result<Header> decode_header(ByteView bytes, std::uint64_t file_size, Layout layout = Layout::whole);
// `bytes`: the table, not yet verified. Checks its digest, then every field, and that parts lie without hole or overlap.
[[nodiscard]] Result<std::vector<Entry>> decode_table(ByteView bytes, const Header& header);

}  // namespace coldframe::archive
