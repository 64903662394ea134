// Digests would stop every mutation of a file at the door, so they are made to match first: header, table, and each part that
// lies within the file.
//
//   sign_again(file, no_objects);
//
// Thread-safety: a free function. Failure: none; what is too short stays as it is.
#pragma once

#include <coldframe/archive/format.hpp>

#include <algorithm>
#include <optional>

namespace coldframe::fuzz {

constexpr std::size_t k_digested = archive::k_header_size - sizeof(Digest);

inline std::uint64_t number_at(const Bytes& file, std::size_t offset, unsigned width) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < width; ++i) value |= std::uint64_t{file[offset + i]} << (8 * i);
    return value;
}

inline void put_digest(Bytes& file, std::size_t offset, const Digest& digest) {
    std::ranges::copy(digest, file.begin() + static_cast<std::ptrdiff_t>(offset));
}

inline std::optional<Digest> no_objects(std::uint64_t) { return std::nullopt; }

// `digest_of_detached(stored size)`: of an object of that size, or nothing.
template <typename DigestOfDetached>
void sign_again(Bytes& file, DigestOfDetached&& digest_of_detached) {
    if (file.size() < archive::k_header_size) return;
    const std::uint64_t count = number_at(file, 32, 4);
    if (count <= archive::k_max_entries && archive::table_end(count) <= file.size()) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t entry = archive::k_header_size + i * archive::k_entry_size;
            const std::uint64_t offset = number_at(file, entry + 8, 8);
            const std::uint64_t stored_size = number_at(file, entry + 16, 8);
            std::optional<Digest> digest;
            if (offset == 0) {
                digest = digest_of_detached(stored_size);
            } else if (offset <= file.size() && stored_size <= file.size() - offset) {
                digest =
                    sha256(ByteView(file).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(stored_size)));
            }
            if (!digest) continue;
            put_digest(file, entry + 32, *digest);
            if (number_at(file, entry + 4, 4) == 0) put_digest(file, entry + 64, *digest);
        }
        const std::size_t size = static_cast<std::size_t>(count) * archive::k_entry_size;
        put_digest(file, 64, sha256(ByteView(file).subspan(archive::k_header_size, size)));
    }
    put_digest(file, k_digested, sha256(ByteView(file).first(k_digested)));
}

}  // namespace coldframe::fuzz
