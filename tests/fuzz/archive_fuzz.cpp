// Whole files.
#include <archive_support.hpp>
#include <fuzz.hpp>

#include <coldframe/archive/reader.hpp>
#include <coldframe/util/memory_fs.hpp>

using namespace coldframe;

namespace {

void read_everything(const Bytes& file) {
    MemoryFs fs(file);
    if (archive::verify("x.cfp", {.fs = &fs})) fuzz::accept();
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
    fuzz::sign_again(file, fuzz::no_objects);
    read_everything(file);
    return 0;
}
