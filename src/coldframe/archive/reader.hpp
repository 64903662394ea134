// Opening a .cfp file: every byte is verified before it is used, and bulk is read on first use.
//
// Opening checks owner and mode, header, table, padding and manifest, and decodes code objects and guard programs. Blobs are
// read, verified, decompressed and verified again when asked for. All bytes are copied into own memory through one file
// descriptor that stays open as long as a blob may need it, so a file that is replaced or removed meanwhile does no harm, and
// one that is truncated gives an error, never a signal.
//
//   Result<Package> package = archive::open("bert.cfp");
//   Result<Bytes> kernel = package->artifacts[0]->blobs[0]->read();
//   Status intact = archive::verify("bert.cfp");                       // every byte of it
//
// Thread-safety: a Reader is immutable; use one from many threads. Failure: corrupt, unsupported, untrusted, not_found, io,
// invalid_argument (not a regular file); the error's context has the path.
#pragma once

#include <coldframe/archive/format.hpp>
#include <coldframe/model/package.hpp>
#include <coldframe/util/file.hpp>

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace coldframe::archive {

// Loading a package runs its code, so by default its file must belong to this user or root and be writable by no one else.
enum class OwnerCheck : std::uint8_t { enforce, skip };

struct OpenOptions {
    OwnerCheck owner_check = OwnerCheck::enforce;
    Fs* fs = nullptr;  // Fs::real() when null; outlives the reader and the blobs
};

// Where blobs lie that are not in the file (detached.hpp).
class ObjectSource {
   public:
    virtual ~ObjectSource() = default;
    // Exactly entry.stored_size bytes whose digest is entry.stored_digest: the source has verified them.
    [[nodiscard]] virtual Result<Bytes> read(const Entry& entry) const = 0;
};

class Reader : public std::enable_shared_from_this<Reader> {
   public:
    [[nodiscard]] const std::string& path() const { return file_.path(); }
    [[nodiscard]] const Header& header() const { return header_; }
    [[nodiscard]] std::uint64_t file_size() const { return header_.file_size; }
    [[nodiscard]] const Digest& digest() const { return header_.digest; }      // names the whole content of the file
    [[nodiscard]] std::span<const Entry> entries() const { return entries_; }  // entry 0 is the manifest

    // The raw bytes of an entry, both digests checked.
    [[nodiscard]] Result<Bytes> read(std::uint32_t number) const;
    [[nodiscard]] Result<Package> package() const;
    // Every byte of the file, padding included; decodes what can be decoded.
    [[nodiscard]] Status verify() const;

   private:
    friend class ReaderParts;
    friend Result<std::shared_ptr<const Reader>> open_reader(const std::string&, const OpenOptions&);
    friend Result<std::shared_ptr<const Reader>> reader_of_bytes(Bytes, const std::string&);
    friend Result<std::shared_ptr<const Reader>> open_detached(Bytes, const std::string&, std::shared_ptr<const ObjectSource>);
    explicit Reader(InputFile file) : file_(std::move(file)) {}
    [[nodiscard]] static Result<std::shared_ptr<const Reader>> of_bytes(Bytes bytes, const std::string& name,
                                                                        std::shared_ptr<const ObjectSource> objects);
    [[nodiscard]] Status load();
    [[nodiscard]] Result<Bytes> read_stored(const Entry& entry, std::uint32_t number) const;
    [[nodiscard]] Result<Bytes> read_entry(std::uint32_t number) const;
    [[nodiscard]] Status verify_entry(std::uint32_t number) const;
    [[nodiscard]] Status check_padding(std::uint64_t begin, std::uint64_t end) const;

    std::shared_ptr<Fs> memory_;                   // of a package that came as bytes
    std::shared_ptr<const ObjectSource> objects_;  // of one whose large blobs lie apart; else null
    InputFile file_;
    Header header_;
    std::vector<Entry> entries_;
};

// Header and table verified; the manifest not yet read.
[[nodiscard]] Result<std::shared_ptr<const Reader>> open_reader(const std::string& path, const OpenOptions& options = {});
[[nodiscard]] Result<Package> open(const std::string& path, const OpenOptions& options = {});
// The same from memory; `name` stands for the path in errors. Owner and mode are the caller's business.
[[nodiscard]] Result<Package> from_bytes(Bytes bytes, const std::string& name = "package");
[[nodiscard]] Result<std::shared_ptr<const Reader>> reader_of_bytes(Bytes bytes, const std::string& name = "package");
[[nodiscard]] Status verify(const std::string& path, const OpenOptions& options = {});

// Untrusted, with what to do about it, unless only `effective_user` or root can have written the file.
[[nodiscard]] Status check_owner(const FileInfo& info, std::uint32_t effective_user, const std::string& path);

}  // namespace coldframe::archive
