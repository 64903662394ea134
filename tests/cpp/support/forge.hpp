// Files that are wrong in exactly one way: sound digests around whatever a test wants to lie about.
//
//   Forge forge(tiny_package());
//   forge.entries[1].offset += 64;                       // a hole
//   Bytes file = forge.file();                           // table and header digested anew
#pragma once

#include <coldframe/archive/format.hpp>
#include <coldframe/model/package_codec.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace coldframe::testing {

// Gives every part a number of its own, equal or not.
class PlainParts final : public PartSink {
   public:
    Result<std::uint32_t> add(PartKind kind, Bytes bytes) override {
        parts.emplace_back(kind, std::move(bytes));
        return static_cast<std::uint32_t>(parts.size());
    }
    Result<std::uint32_t> add(const BlobPtr& blob) override { return add(PartKind::blob, blob->read().value()); }

    std::vector<std::pair<PartKind, Bytes>> parts;
};

struct Forge {
    archive::Version version;
    std::vector<archive::Entry> entries;
    std::vector<Bytes> stored;
    std::function<void(Bytes&)> change_header;  // before its digest is computed
    std::uint8_t padding = 0;
    Bytes appended;

    Forge() = default;
    explicit Forge(const Package& package) {
        PlainParts parts;
        const Bytes manifest = encode_manifest(package, parts).value();
        add(PartKind::manifest, manifest);
        for (const auto& [kind, bytes] : parts.parts) add(kind, bytes);
    }

    // Adds a part that is stored as it is.
    archive::Entry& add(PartKind kind, const Bytes& bytes) {
        archive::Entry entry;
        entry.kind = kind;
        stored.push_back(bytes);
        entries.push_back(entry);
        replace(entries.size() - 1, bytes);
        return entries.back();
    }
    void replace(std::size_t number, const Bytes& bytes) {
        stored[number] = bytes;
        archive::Entry& entry = entries[number];
        entry.stored_size = entry.raw_size = bytes.size();
        entry.stored_digest = entry.raw_digest = sha256(bytes);
        place();
    }
    // The part's bytes are these, compressed, and stand for others.
    void replace_packed(std::size_t number, const Bytes& packed, std::uint64_t raw_size, const Digest& raw_digest) {
        replace(number, packed);
        entries[number].codec = archive::Codec::zstd;
        entries[number].raw_size = raw_size;
        entries[number].raw_digest = raw_digest;
    }
    void place() {
        std::uint64_t end = archive::table_end(entries.size());
        for (std::size_t i = 0; i < entries.size(); ++i) {
            entries[i].offset = archive::aligned(end);
            end = entries[i].offset + stored[i].size();
        }
    }

    [[nodiscard]] Bytes file() const {
        const Bytes table = archive::encode_table(entries);
        Bytes body = table;
        for (const Bytes& bytes : stored) {
            const std::uint64_t end = archive::k_header_size + body.size();
            body.resize(body.size() + static_cast<std::size_t>(archive::aligned(end) - end), padding);
            body.insert(body.end(), bytes.begin(), bytes.end());
        }
        body.insert(body.end(), appended.begin(), appended.end());
        archive::Header header;
        header.version = version;
        header.file_size = archive::k_header_size + body.size();
        header.entry_count = static_cast<std::uint32_t>(entries.size());
        header.table_digest = sha256(table);
        Bytes file = archive::encode_header(header);
        if (change_header) {
            change_header(file);
            const Digest digest = sha256(ByteView(file).first(archive::k_header_size - sizeof(Digest)));
            std::ranges::copy(digest, file.end() - static_cast<std::ptrdiff_t>(sizeof(Digest)));
        }
        file.insert(file.end(), body.begin(), body.end());
        return file;
    }
};

}  // namespace coldframe::testing
