// The order of checks is that of docs/format.md: owner, header, table, then each part when it is needed: its stored bytes
// against their digest, then decompression to the recorded size, then the raw bytes against theirs. Only then is anything
// parsed.
#include <coldframe/archive/reader.hpp>

#include <coldframe/archive/compress.hpp>
#include <coldframe/archive/detached.hpp>
#include <coldframe/util/memory_fs.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>
#include <cstdio>
#include <new>

namespace coldframe::archive {
namespace {

constexpr std::uint32_t k_group_or_other_write = 022;

std::string octal(std::uint32_t permissions) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", permissions);
    return text;
}

std::string name_of(const Entry& entry, std::uint32_t number) {
    return "entry " + std::to_string(number) + " (" + std::string(to_string(entry.kind)) + ")";
}

std::unexpected<Error> damaged(const Entry& entry, std::uint32_t number, const std::string& how) {
    return fail(ErrorCode::corrupt, name_of(entry, number) + " is damaged: " + how);
}

constexpr const char* k_other_digest = "its decompressed bytes do not match their digest";

std::unexpected<Error> no_memory(const Entry& entry, std::uint32_t number) {
    return fail(ErrorCode::io,
                "not enough memory for " + name_of(entry, number) + " of " + std::to_string(entry.raw_size) + " bytes");
}

std::unexpected<Error> at_path(Error error, const std::string& path) {
    return std::unexpected(std::move(error).with("in '" + path + "'"));
}

cbor::UnknownFields unknown_fields(const Version& version) {
    return version.minor > k_minor_version ? cbor::UnknownFields::skip : cbor::UnknownFields::reject;
}

// A blob that lies in a file; it keeps the reader, and so the file descriptor, alive.
class FileBlob final : public Blob {
   public:
    FileBlob(std::shared_ptr<const Reader> reader, std::uint32_t number, std::string name)
        : reader_(std::move(reader)), number_(number), name_(std::move(name)) {}
    const std::string& name() const override { return name_; }
    std::uint64_t size() const override { return entry().raw_size; }
    const Digest& digest() const override { return entry().raw_digest; }
    Result<Bytes> read() const override {
        Result<Bytes> bytes = reader_->read(number_);
        if (!bytes) return std::unexpected(std::move(bytes.error()).with("blob '" + name_ + "'"));
        return bytes;
    }

   private:
    [[nodiscard]] const Entry& entry() const { return reader_->entries()[number_]; }

    std::shared_ptr<const Reader> reader_;
    std::uint32_t number_;
    std::string name_;
};

}  // namespace

Status check_owner(const FileInfo& info, std::uint32_t effective_user, const std::string& path) {
    if (info.owner != effective_user && info.owner != 0) {
        return fail(ErrorCode::untrusted, "'" + path + "' belongs to user " + std::to_string(info.owner) +
                                              ", neither to you nor to root, and loading a package runs its code: copy it, "
                                              "if you trust its owner");
    }
    if ((info.permissions & k_group_or_other_write) != 0) {
        return fail(ErrorCode::untrusted, "'" + path + "' may be written by others (mode " + octal(info.permissions) +
                                              "), and loading a package runs its code: chmod go-w '" + path +
                                              "', if you trust its content");
    }
    return {};
}

// The reading half of a package: hands out parts by number and checks that each is what the manifest takes it for.
class ReaderParts final : public PartSource {
   public:
    explicit ReaderParts(std::shared_ptr<const Reader> reader) : reader_(std::move(reader)) {}

    Result<Bytes> read(PartKind kind, std::uint32_t number) override {
        COLDFRAME_TRY(check(kind, number));
        return reader_->read_entry(number);
    }
    Result<BlobPtr> blob(std::uint32_t number, std::string name) override {
        COLDFRAME_TRY(check(PartKind::blob, number));
        return std::make_shared<FileBlob>(reader_, number, std::move(name));
    }

   private:
    [[nodiscard]] Status check(PartKind kind, std::uint32_t number) const {
        const auto entries = reader_->entries();
        if (number < entries.size() && entries[number].kind == kind) return {};
        return fail(ErrorCode::corrupt, "the manifest refers to entry " + std::to_string(number) + " as " +
                                            std::string(to_string(kind)) + ", which it is not");
    }

    std::shared_ptr<const Reader> reader_;
};

Status Reader::load() {
    Bytes start(static_cast<std::size_t>(std::min<std::uint64_t>(file_.info().size, k_header_size)));
    if (Status read = file_.read_at(0, start); !read) return read;
    const Layout layout = objects_ == nullptr ? Layout::whole : Layout::detached;
    COLDFRAME_TRY_ASSIGN(Header header, decode_header(start, file_.info().size, layout));
    header_ = header;

    Bytes table(std::size_t{header_.entry_count} * k_entry_size);
    if (Status read = file_.read_at(k_header_size, table); !read) return read;
    COLDFRAME_TRY_ASSIGN(std::vector<Entry> entries, decode_table(table, header_));
    entries_ = std::move(entries);
    std::uint64_t end = table_end(header_.entry_count);
    for (const Entry& entry : entries_) {
        if (entry.is_detached()) continue;
        if (Status zeros = check_padding(end, entry.offset); !zeros) return zeros;
        end = entry.offset + entry.stored_size;
    }
    return {};
}

Status Reader::check_padding(std::uint64_t begin, std::uint64_t end) const {
    if (begin == end) return {};
    Bytes padding(static_cast<std::size_t>(end - begin));
    if (Status read = file_.read_at(begin, padding); !read) return read;
    if (std::ranges::all_of(padding, [](std::uint8_t byte) { return byte == 0; })) return {};
    return fail(ErrorCode::corrupt, "the padding at offset " + std::to_string(begin) + " is not zero");
}

Result<Bytes> Reader::read_stored(const Entry& entry, std::uint32_t number) const {
    if (entry.is_detached()) return objects_->read(entry);
    Bytes stored(static_cast<std::size_t>(entry.stored_size));
    COLDFRAME_TRY(file_.read_at(entry.offset, stored));
    if (sha256(stored) == entry.stored_digest) return stored;
    return fail(ErrorCode::corrupt, name_of(entry, number) + " is damaged: its bytes do not match their digest");
}

Result<Bytes> Reader::read_entry(std::uint32_t number) const {
    if (number >= entries_.size()) {
        return fail(ErrorCode::invalid_argument, "the package has no entry " + std::to_string(number));
    }
    const Entry& entry = entries_[number];
    try {
        Result<Bytes> stored = read_stored(entry, number);
        if (!stored || entry.codec == Codec::stored) return stored;  // one digest, as the table says
        Result<Bytes> raw = decompress(*stored, entry.raw_size);
        if (!raw) return damaged(entry, number, raw.error().message);
        if (sha256(*raw) != entry.raw_digest) return damaged(entry, number, k_other_digest);
        return raw;
    } catch (const std::bad_alloc&) {
        return no_memory(entry, number);
    }
}

// As reading it, without room for what it decompresses to.
Status Reader::verify_entry(std::uint32_t number) const {
    const Entry& entry = entries_[number];
    try {
        COLDFRAME_TRY_ASSIGN(const Bytes stored, read_stored(entry, number));
        if (entry.codec == Codec::stored) return {};
        const Result<Digest> digest = digest_decompressed(stored, entry.raw_size);
        if (!digest) return damaged(entry, number, digest.error().message);
        return *digest == entry.raw_digest ? Status{} : damaged(entry, number, k_other_digest);
    } catch (const std::bad_alloc&) {
        return no_memory(entry, number);
    }
}

Result<Bytes> Reader::read(std::uint32_t number) const {
    Result<Bytes> bytes = read_entry(number);
    if (!bytes) return at_path(std::move(bytes.error()), path());
    return bytes;
}

Result<Package> Reader::package() const {
    COLDFRAME_TRY_ASSIGN(const Bytes manifest, read(0));
    ReaderParts parts(shared_from_this());
    Result<Package> package = decode_manifest(manifest, parts, unknown_fields(header_.version));
    if (!package) return at_path(std::move(package.error()), path());
    return package;
}

Status Reader::verify() const {
    for (std::uint32_t number = 0; number < entries_.size(); ++number) {
        if (Status sound = verify_entry(number); !sound) return at_path(std::move(sound.error()), path());
    }
    COLDFRAME_TRY_ASSIGN(Package decoded, package());
    return {};
}

Result<std::shared_ptr<const Reader>> open_reader(const std::string& path, const OpenOptions& options) {
    Fs& fs = options.fs != nullptr ? *options.fs : Fs::real();
    Result<InputFile> file = InputFile::open(fs, path);
    if (!file) return std::unexpected(std::move(file.error()));
    if (file->info().kind != FileKind::regular) {
        const bool directory = file->info().kind == FileKind::directory;
        return fail(ErrorCode::invalid_argument,
                    "'" + path + "' is " + (directory ? "a directory" : "not a regular file") + ", not a package");
    }
    if (options.owner_check == OwnerCheck::enforce) {
        if (Status owner = check_owner(file->info(), fs.effective_user(), path); !owner) return std::unexpected(owner.error());
    }
    std::shared_ptr<Reader> reader(new Reader(std::move(*file)));
    if (Status loaded = reader->load(); !loaded) return at_path(std::move(loaded.error()), path);
    return reader;
}

Result<Package> open(const std::string& path, const OpenOptions& options) {
    COLDFRAME_TRY_ASSIGN(const auto reader, open_reader(path, options));
    return reader->package();
}

Result<std::shared_ptr<const Reader>> Reader::of_bytes(Bytes bytes, const std::string& name,
                                                       std::shared_ptr<const ObjectSource> objects) {
    const auto memory = std::make_shared<MemoryFs>(std::move(bytes));
    COLDFRAME_TRY_ASSIGN(InputFile file, InputFile::open(*memory, name));
    std::shared_ptr<Reader> reader(new Reader(std::move(file)));
    reader->memory_ = memory;
    reader->objects_ = std::move(objects);
    if (Status loaded = reader->load(); !loaded) return at_path(std::move(loaded.error()), name);
    return reader;
}

Result<std::shared_ptr<const Reader>> reader_of_bytes(Bytes bytes, const std::string& name) {
    return Reader::of_bytes(std::move(bytes), name, nullptr);
}

Result<std::shared_ptr<const Reader>> open_detached(Bytes file, const std::string& name,
                                                    std::shared_ptr<const ObjectSource> source) {
    return Reader::of_bytes(std::move(file), name, std::move(source));
}

Result<Package> from_bytes(Bytes bytes, const std::string& name) {
    COLDFRAME_TRY_ASSIGN(const auto reader, reader_of_bytes(std::move(bytes), name));
    return reader->package();
}

Status verify(const std::string& path, const OpenOptions& options) {
    COLDFRAME_TRY_ASSIGN(const auto reader, open_reader(path, options));
    return reader->verify();
}

}  // namespace coldframe::archive
