// Parts are numbered while the manifest is encoded, so its encoding comes first and the place of everything is known before
// the first byte is written. Parts then go out one by one, each read, compressed and forgotten; header and table, which need
// all their digests, are written last, over the space left for them.
#include <coldframe/archive/writer.hpp>

#include <coldframe/archive/compress.hpp>
#include <coldframe/util/file.hpp>
#include <coldframe/util/memory_fs.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace coldframe::archive {
namespace {

constexpr std::size_t k_buffer_size = std::size_t{1} << 20;

struct Part {
    PartKind kind;
    Bytes bytes;   // of a document
    BlobPtr blob;  // or the blob
};

std::unexpected<Error> too_large(PartKind kind, std::uint64_t size) {
    return fail(ErrorCode::invalid_argument,
                "a " + std::string(to_string(kind)) + " of " + std::to_string(size) + " bytes is beyond the format's limit");
}

// Numbers the parts in the order in which the manifest first refers to them. Number 0 is the manifest itself.
class PartCollector final : public PartSink {
   public:
    Result<std::uint32_t> add(PartKind kind, Bytes bytes) override {
        if (bytes.size() > k_max_document_size) return too_large(kind, bytes.size());
        const Digest digest = sha256(bytes);
        return number_of(kind, digest, {kind, std::move(bytes), nullptr});
    }
    Result<std::uint32_t> add(const BlobPtr& blob) override {
        if (blob->size() > k_max_blob_size) return too_large(PartKind::blob, blob->size());
        return number_of(PartKind::blob, blob->digest(), {PartKind::blob, {}, blob});
    }
    [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }

   private:
    Result<std::uint32_t> number_of(PartKind kind, const Digest& digest, Part part) {
        const auto next = static_cast<std::uint32_t>(parts_.size() + 1);
        const auto [position, added] = numbers_.try_emplace({kind, digest}, next);
        if (added && next >= k_max_entries) {
            return fail(ErrorCode::invalid_argument, "a package with more than " + std::to_string(k_max_entries) + " parts");
        }
        if (added) parts_.push_back(std::move(part));
        return position->second;
    }

    std::vector<Part> parts_;
    std::map<std::pair<PartKind, Digest>, std::uint32_t> numbers_;
};

// Appends to a file in large writes, remembering where it is.
class Appender {
   public:
    Appender(AtomicFile& file, std::uint64_t offset) : file_(file), offset_(offset) {}

    [[nodiscard]] std::uint64_t position() const { return offset_ + buffer_.size(); }
    [[nodiscard]] Status append(ByteView bytes) {
        if (bytes.size() >= k_buffer_size) {
            if (Status flushed = flush(); !flushed) return flushed;
            if (Status written = file_.write_at(offset_, bytes); !written) return written;
            offset_ += bytes.size();
            return {};
        }
        buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
        return buffer_.size() >= k_buffer_size ? flush() : Status{};
    }
    [[nodiscard]] Status flush() {
        if (Status written = file_.write_at(offset_, buffer_); !written) return written;
        offset_ += buffer_.size();
        buffer_.clear();
        return {};
    }

   private:
    AtomicFile& file_;
    std::uint64_t offset_;
    Bytes buffer_;
};

// The part as it will lie in the file; `entry` gets everything but its offset.
Result<Bytes> pack(PartKind kind, Bytes raw, Entry& entry) {
    entry.kind = kind;
    entry.raw_size = raw.size();
    entry.raw_digest = sha256(raw);
    if (raw.size() >= k_min_compressed_size) {
        Result<Bytes> packed = compress(raw, k_compression_level);
        if (!packed) return packed;
        if (packed->size() + raw.size() / 16 <= raw.size()) {
            entry.codec = Codec::zstd;
            entry.stored_size = packed->size();
            entry.stored_digest = sha256(*packed);
            return packed;
        }
    }
    entry.stored_size = raw.size();
    entry.stored_digest = entry.raw_digest;
    return raw;
}

Result<Bytes> raw_bytes(const Part& part) {
    if (part.blob == nullptr) return part.bytes;
    Result<Bytes> bytes = part.blob->read();
    if (bytes && sha256(*bytes) != part.blob->digest()) {
        return fail(ErrorCode::corrupt, "the bytes of blob '" + part.blob->name() + "' do not match its digest");
    }
    return bytes;
}

class PackageWriter {
   public:
    PackageWriter(AtomicFile& file, std::size_t entry_count)
        : file_(file), appender_(file, table_end(entry_count)), entry_count_(entry_count) {}

    Status append(PartKind kind, Result<Bytes> raw) {
        if (!raw) return std::unexpected(std::move(raw.error()));
        Entry entry;
        const Result<Bytes> packed = pack(kind, std::move(*raw), entry);
        if (!packed) return std::unexpected(packed.error());
        entry.offset = aligned(appender_.position());
        const Bytes padding(static_cast<std::size_t>(entry.offset - appender_.position()), 0);
        if (Status written = appender_.append(padding); !written) return written;
        if (Status written = appender_.append(*packed); !written) return written;
        report_.raw_size += entry.raw_size;
        entries_.push_back(entry);
        return {};
    }

    Result<WriteReport> finish() {
        if (Status flushed = appender_.flush(); !flushed) return std::unexpected(flushed.error());
        const Bytes table = encode_table(entries_);
        Header header;
        header.file_size = appender_.position();
        header.entry_count = static_cast<std::uint32_t>(entry_count_);
        header.table_digest = sha256(table);
        Bytes start = encode_header(header);
        std::copy_n(start.end() - sizeof(Digest), sizeof(Digest), report_.digest.begin());
        start.insert(start.end(), table.begin(), table.end());
        if (Status written = file_.write_at(0, start); !written) return std::unexpected(written.error());
        if (Status committed = file_.commit(); !committed) return std::unexpected(committed.error());
        report_.size = header.file_size;
        report_.entry_count = header.entry_count;
        return report_;
    }

   private:
    AtomicFile& file_;
    Appender appender_;
    std::size_t entry_count_;
    std::vector<Entry> entries_;
    WriteReport report_;
};

Result<WriteReport> write_package(const Package& package, const std::string& path, Fs& fs) {
    PartCollector collector;
    Result<Bytes> manifest = encode_manifest(package, collector);
    if (!manifest) return std::unexpected(std::move(manifest.error()));
    if (manifest->size() > k_max_document_size) return too_large(PartKind::manifest, manifest->size());
    Result<AtomicFile> file = AtomicFile::create(fs, path);
    if (!file) return std::unexpected(std::move(file.error()));
    PackageWriter writer(*file, collector.parts().size() + 1);
    if (Status status = writer.append(PartKind::manifest, std::move(*manifest)); !status)
        return std::unexpected(status.error());
    for (const Part& part : collector.parts()) {
        if (Status status = writer.append(part.kind, raw_bytes(part)); !status) return std::unexpected(status.error());
    }
    return writer.finish();
}

}  // namespace

Result<WriteReport> write(const Package& package, const std::string& path, const WriteOptions& options) {
    Result<WriteReport> report = write_package(package, path, options.fs != nullptr ? *options.fs : Fs::real());
    if (!report) return std::unexpected(std::move(report.error()).with("while writing '" + path + "'"));
    return report;
}

Result<Bytes> to_bytes(const Package& package) {
    MemoryFs memory;
    if (Result<WriteReport> report = write_package(package, "package", memory); !report) {
        return std::unexpected(std::move(report.error()));
    }
    return std::move(memory).bytes();
}

}  // namespace coldframe::archive
