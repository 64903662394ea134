// The manifest files of a store, whose large blobs lie apart from them: zeros, of whatever size they are said to be.
#include <archive_support.hpp>
#include <fuzz.hpp>

#include <coldframe/archive/detached.hpp>

using namespace coldframe;

namespace {

constexpr std::uint64_t k_max_object_size = std::uint64_t{1} << 16;

std::optional<Digest> digest_of_zeros(std::uint64_t size) {
    if (size > k_max_object_size) return std::nullopt;
    return sha256(Bytes(static_cast<std::size_t>(size)));
}

class Zeros final : public archive::ObjectSource {
   public:
    Result<Bytes> read(const archive::Entry& entry) const override {
        if (digest_of_zeros(entry.stored_size) == entry.stored_digest)
            return Bytes(static_cast<std::size_t>(entry.stored_size));
        return fail(ErrorCode::not_found, "no such object");
    }
};

// A store looks at the start of a file first, for what it needs besides.
void read_entries(ByteView file) {
    std::size_t start = archive::k_header_size;
    for (int reads = 0; reads < 2; ++reads) {
        const auto table = archive::decode_entries(file.first(std::min(start, file.size())), file.size());
        if (!table || table->missing == 0) return;
        fuzz::require(table->missing > start);
        start = table->missing;
    }
}

void read_everything(const Bytes& file) {
    read_entries(file);
    const auto reader = archive::open_detached(file, "x.m", std::make_shared<Zeros>());
    if (!reader) return;
    if ((*reader)->verify()) fuzz::accept();
    const Result<Package> package = (*reader)->package();
    if (!package) return;
    for (const ArtifactPtr& artifact : package->artifacts) {
        for (const BlobPtr& blob : artifact->blobs) static_cast<void>(blob->read());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes file(data, data + size);
    read_everything(file);
    fuzz::sign_again(file, digest_of_zeros);
    read_everything(file);
    return 0;
}
