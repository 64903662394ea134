// Parts are numbered while the manifest is encoded, so its encoding comes first and the place of everything is known before
// the first byte is written. Parts then go out one by one, each read, compressed and forgotten; header and table, which need
// all their digests, are written last, over the space left for them.
#include <coldframe/archive/writer.hpp>

#include <coldframe/archive/parts.hpp>
#include <coldframe/util/file.hpp>
#include <coldframe/util/memory_fs.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>
#include <utility>

namespace coldframe::archive {
namespace {

constexpr std::size_t k_buffer_size = std::size_t{1} << 20;

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

class PackageWriter {
   public:
    PackageWriter(AtomicFile& file, std::size_t entry_count)
        : file_(file), appender_(file, table_end(entry_count)), entry_count_(entry_count) {}

    Status append(const Part& part) {
        COLDFRAME_TRY_ASSIGN(PackedPart packed, pack(part));
        Entry& entry = packed.entry;
        entry.offset = aligned(appender_.position());
        const Bytes padding(static_cast<std::size_t>(entry.offset - appender_.position()), 0);
        if (Status written = appender_.append(padding); !written) return written;
        if (Status written = appender_.append(packed.stored); !written) return written;
        report_.raw_size += entry.raw_size;
        entries_.push_back(entry);
        return {};
    }

    Result<WriteReport> finish() {
        COLDFRAME_TRY(appender_.flush());
        const Bytes table = encode_table(entries_);
        Header header;
        header.file_size = appender_.position();
        header.entry_count = static_cast<std::uint32_t>(entry_count_);
        header.table_digest = sha256(table);
        Bytes start = encode_header(header);
        std::copy_n(start.end() - sizeof(Digest), sizeof(Digest), report_.digest.begin());
        start.insert(start.end(), table.begin(), table.end());
        COLDFRAME_TRY(file_.write_at(0, start));
        COLDFRAME_TRY(file_.commit());
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
    COLDFRAME_TRY_ASSIGN(const std::vector<Part> parts, collect_parts(package));
    COLDFRAME_TRY_ASSIGN(AtomicFile file, AtomicFile::create(fs, path));
    PackageWriter writer(file, parts.size());
    for (const Part& part : parts) {
        if (Status status = writer.append(part); !status) return std::unexpected(std::move(status.error()));
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
