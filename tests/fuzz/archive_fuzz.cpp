// Whole files. Digests would stop every mutation at the door, so they are made to match first: header, table, and each part
// that lies within the file.
#include <coldframe/archive/reader.hpp>

#include <coldframe/util/memory_fs.hpp>

#include <algorithm>

using namespace coldframe;

namespace {

constexpr std::size_t k_digested = archive::k_header_size - sizeof(Digest);

std::uint64_t number_at(const Bytes& file, std::size_t offset, unsigned width) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < width; ++i) value |= std::uint64_t{file[offset + i]} << (8 * i);
    return value;
}

void put_digest(Bytes& file, std::size_t offset, const Digest& digest) {
    std::ranges::copy(digest, file.begin() + static_cast<std::ptrdiff_t>(offset));
}

void sign_again(Bytes& file) {
    if (file.size() < archive::k_header_size) return;
    const std::uint64_t count = number_at(file, 32, 4);
    if (count <= archive::k_max_entries && archive::table_end(count) <= file.size()) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t entry = archive::k_header_size + i * archive::k_entry_size;
            const std::uint64_t offset = number_at(file, entry + 8, 8);
            const std::uint64_t stored_size = number_at(file, entry + 16, 8);
            if (offset > file.size() || stored_size > file.size() - offset) continue;
            const Digest digest =
                sha256(ByteView(file).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(stored_size)));
            put_digest(file, entry + 32, digest);
            if (number_at(file, entry + 4, 4) == 0) put_digest(file, entry + 64, digest);
        }
        const std::size_t size = static_cast<std::size_t>(count) * archive::k_entry_size;
        put_digest(file, 64, sha256(ByteView(file).subspan(archive::k_header_size, size)));
    }
    put_digest(file, k_digested, sha256(ByteView(file).first(k_digested)));
}

void read_everything(const Bytes& file) {
    coldframe::MemoryFs fs(file);
    static_cast<void>(archive::verify("x.cfp", {.fs = &fs}));
    const Result<Package> package = archive::open("x.cfp", {.fs = &fs});
    if (!package) return;
    for (const ArtifactPtr& artifact : package->artifacts) {
        for (const BlobPtr& blob : artifact->blobs) static_cast<void>(blob->read());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes file(data, data + size);
    read_everything(file);
    sign_again(file);
    read_everything(file);
    return 0;
}
