#include <coldframe/archive/format.hpp>

#include <coldframe/util/byte_io.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>

namespace coldframe::archive {
namespace {

constexpr std::size_t k_digested_header_size = k_header_size - sizeof(Digest);
constexpr std::size_t k_reserved_size = 24;

Digest take_digest(ByteReader& reader) {
    Digest digest{};
    std::ranges::copy(reader.take(digest.size()), digest.begin());
    return digest;
}

std::unexpected<Error> corrupt(std::string message) { return fail(ErrorCode::corrupt, std::move(message)); }

std::string in_header(std::string_view field, std::uint64_t value, std::uint64_t expected) {
    return "the header's " + std::string(field) + " is " + std::to_string(value) + ", not " + std::to_string(expected);
}

const std::array<std::uint8_t, 8>& magic_of(Layout layout) { return layout == Layout::whole ? k_magic : k_detached_magic; }

// What every version of the format shares: magic, version and digest of the header.
Result<Version> decode_preamble(ByteView bytes, std::uint64_t file_size, Layout layout) {
    if (file_size == 0) return corrupt("the file is empty");
    const ByteView magic = bytes.first(std::min(bytes.size(), k_magic.size()));
    if (!std::ranges::equal(magic, std::span(magic_of(layout)).first(magic.size()))) {
        return corrupt("this is not a coldframe package: it begins with other bytes");
    }
    if (bytes.size() < k_header_size) {
        return corrupt("the file is truncated: it has " + std::to_string(file_size) + " bytes, fewer than the header's " +
                       std::to_string(k_header_size));
    }
    ByteReader reader(bytes.subspan(k_digested_header_size));
    if (take_digest(reader) != sha256(bytes.first(k_digested_header_size))) return corrupt("the header is damaged");

    ByteReader versions(bytes.subspan(k_magic.size(), 4));
    Version version;
    version.major = versions.u16();
    version.minor = versions.u16();
    if (version.major == 0) return corrupt("the header's major version is 0");
    if (version.major > k_major_version) {
        return fail(ErrorCode::unsupported, "the package has format version " + std::to_string(version.major) + "." +
                                                std::to_string(version.minor) + "; this coldframe reads version " +
                                                std::to_string(k_major_version) + ": use a newer coldframe");
    }
    return version;
}

bool is_known(PartKind kind) { return kind >= PartKind::manifest && kind <= PartKind::blob; }

std::uint64_t max_raw_size(PartKind kind) {
    return kind == PartKind::blob || !is_known(kind) ? k_max_blob_size : k_max_document_size;
}

Status check_place(const Entry& entry, const std::string& name, std::uint64_t expected_offset, const Header& header) {
    if (header.layout == Layout::detached && entry.is_detached()) return {};
    if (entry.offset != expected_offset) {
        return corrupt(name + " is at offset " + std::to_string(entry.offset) + ", not at " + std::to_string(expected_offset));
    }
    if (entry.offset > header.file_size || entry.stored_size > header.file_size - entry.offset) {
        return corrupt(name + " reaches beyond the end of the file");
    }
    return {};
}

// Checks one entry by itself; `expected_offset` is where it must lie.
Status check_entry(const Entry& entry, std::uint32_t number, std::uint64_t expected_offset, const Header& header) {
    const std::string name = "entry " + std::to_string(number);
    const bool newer = header.version.minor > k_minor_version;
    const bool manifest = entry.kind == PartKind::manifest;
    if (manifest != (number == 0)) return corrupt(name + (manifest ? " is a second manifest" : " is not the manifest"));
    if (!is_known(entry.kind) && !newer) return corrupt(name + " has an unknown kind");
    if (entry.codec != Codec::stored && entry.codec != Codec::zstd) {
        return fail(newer ? ErrorCode::unsupported : ErrorCode::corrupt, name + " is packed with an unknown codec");
    }
    if (Status place = check_place(entry, name, expected_offset, header); !place) return place;
    if (entry.raw_size > max_raw_size(entry.kind)) return corrupt(name + " is larger than the limit of its kind");
    if (entry.codec == Codec::stored && (entry.raw_size != entry.stored_size || entry.raw_digest != entry.stored_digest)) {
        return corrupt(name + " is stored as it is, with two sizes or two digests");
    }
    if (entry.codec == Codec::zstd && entry.stored_size >= entry.raw_size) {
        return corrupt(name + " is compressed, and not smaller for it");
    }
    if (entry.codec == Codec::zstd && entry.raw_size > max_decompressed_size(entry.stored_size)) {
        return corrupt(name + " is compressed more than a part may be");
    }
    return {};
}

}  // namespace

Bytes encode_table(const std::vector<Entry>& entries) {
    ByteWriter writer;
    for (const Entry& entry : entries) {
        writer.u32(static_cast<std::uint32_t>(entry.kind));
        writer.u32(static_cast<std::uint32_t>(entry.codec));
        writer.u64(entry.offset);
        writer.u64(entry.stored_size);
        writer.u64(entry.raw_size);
        writer.raw(entry.stored_digest);
        writer.raw(entry.raw_digest);
    }
    return std::move(writer).finish();
}

Bytes encode_header(const Header& header) {
    ByteWriter writer;
    writer.raw(magic_of(header.layout));
    writer.u16(header.version.major);
    writer.u16(header.version.minor);
    writer.u32(k_header_size);
    writer.u64(header.file_size);
    writer.u64(k_header_size);  // where the table begins
    writer.u32(header.entry_count);
    writer.u32(k_entry_size);
    writer.zeros(k_reserved_size);
    writer.raw(header.table_digest);
    writer.raw(sha256(writer.view()));
    return std::move(writer).finish();
}

Result<Header> decode_header(ByteView bytes, std::uint64_t file_size, Layout layout) {
    COLDFRAME_TRY_ASSIGN(const Version version, decode_preamble(bytes, file_size, layout));
    ByteReader reader(bytes.subspan(k_magic.size() + 4));
    Header header;
    header.layout = layout;
    header.version = version;
    const std::uint32_t header_size = reader.u32();
    header.file_size = reader.u64();
    const std::uint64_t table_offset = reader.u64();
    header.entry_count = reader.u32();
    const std::uint32_t entry_size = reader.u32();
    const ByteView reserved = reader.take(k_reserved_size);
    header.table_digest = take_digest(reader);
    header.digest = take_digest(reader);

    if (header_size != k_header_size) return corrupt(in_header("own size", header_size, k_header_size));
    if (table_offset != k_header_size) return corrupt(in_header("table offset", table_offset, k_header_size));
    if (entry_size != k_entry_size) return corrupt(in_header("entry size", entry_size, k_entry_size));
    const bool zeros = std::ranges::all_of(reserved, [](std::uint8_t byte) { return byte == 0; });
    if (!zeros && version.minor <= k_minor_version) return corrupt("the header's reserved bytes are not zero");
    if (header.entry_count == 0 || header.entry_count > k_max_entries) {
        return corrupt("the header counts " + std::to_string(header.entry_count) + " entries; 1 to " +
                       std::to_string(k_max_entries) + " are possible");
    }
    if (header.file_size > k_max_file_size) return corrupt("the header's file size is beyond the limit");
    if (file_size < header.file_size) {
        return corrupt("the file is truncated: it has " + std::to_string(file_size) + " of " +
                       std::to_string(header.file_size) + " bytes");
    }
    if (file_size > header.file_size) {
        return corrupt(std::to_string(file_size - header.file_size) + " bytes follow the end of the package");
    }
    if (table_end(header.entry_count) > file_size) return corrupt("the table reaches beyond the end of the file");
    return header;
}

Result<std::vector<Entry>> decode_table(ByteView bytes, const Header& header) {
    if (sha256(bytes) != header.table_digest) return corrupt("the table of entries is damaged");
    ByteReader reader(bytes);
    std::vector<Entry> entries;
    std::uint64_t end = table_end(header.entry_count);
    for (std::uint32_t number = 0; number < header.entry_count; ++number) {
        Entry entry;
        entry.kind = static_cast<PartKind>(reader.u32());
        entry.codec = static_cast<Codec>(reader.u32());
        entry.offset = reader.u64();
        entry.stored_size = reader.u64();
        entry.raw_size = reader.u64();
        entry.stored_digest = take_digest(reader);
        entry.raw_digest = take_digest(reader);
        COLDFRAME_TRY(check_entry(entry, number, aligned(end), header));
        if (entry.offset != 0) end = entry.offset + entry.stored_size;
        entries.push_back(entry);
    }
    if (!reader.ok() || reader.remaining() != 0) return corrupt("the table has another size than its entries");
    if (end != header.file_size) return corrupt("bytes follow the last entry");
    return entries;
}

}  // namespace coldframe::archive
