#include <coldframe/archive/detached.hpp>

#include <coldframe/util/byte_io.hpp>
#include <coldframe/util/try.hpp>

#include <utility>

namespace coldframe::archive {

Result<Bytes> to_detached(const Package& package, ObjectSink& sink) {
    COLDFRAME_TRY_ASSIGN(const std::vector<Part> parts, collect_parts(package));
    const std::uint64_t start = table_end(parts.size());
    std::vector<Entry> entries;
    ByteWriter body;
    for (const Part& part : parts) {
        COLDFRAME_TRY_ASSIGN(PackedPart packed, pack(part));
        if (part.kind == PartKind::blob && packed.entry.stored_size >= k_min_detached_size) {
            if (Status added = sink.add(packed); !added) return std::unexpected(std::move(added.error()));
        } else {
            packed.entry.offset = aligned(start + body.size());
            body.zeros(static_cast<std::size_t>(packed.entry.offset - start) - body.size());
            body.raw(packed.stored);
        }
        entries.push_back(packed.entry);
    }
    const Bytes table = encode_table(entries);
    Header header;
    header.layout = Layout::detached;
    header.file_size = start + body.size();
    header.entry_count = static_cast<std::uint32_t>(entries.size());
    header.table_digest = sha256(table);
    ByteWriter file;
    file.raw(encode_header(header));
    file.raw(table);
    file.raw(body.view());
    return std::move(file).finish();
}

Result<EntryTable> decode_entries(ByteView start, std::uint64_t file_size) {
    const ByteView fixed = start.first(std::min<std::size_t>(start.size(), k_header_size));
    COLDFRAME_TRY_ASSIGN(const Header header, decode_header(fixed, file_size, Layout::detached));
    const auto end = static_cast<std::size_t>(table_end(header.entry_count));
    if (start.size() < end) return EntryTable{{}, end};
    COLDFRAME_TRY_ASSIGN(std::vector<Entry> entries, decode_table(start.subspan(k_header_size, end - k_header_size), header));
    return EntryTable{std::move(entries), 0};
}

}  // namespace coldframe::archive
