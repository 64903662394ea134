// No damage to a file goes unnoticed: every bit, every truncation, anything appended.
#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>

#include <coldframe/util/memory_fs.hpp>
#include <support/sample.hpp>
#include <support/temporary_directory.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

struct Written {
    TemporaryDirectory directory;
    std::string path = directory.file("a.cfp");
    Bytes bytes;

    explicit Written(const Package& package) {
        REQUIRE(archive::write(package, path).has_value());
        bytes = load(path);
    }
};

Package compressible_package() {
    Package package = tiny_package();
    package.artifacts[0]->blobs.push_back(make_blob("text", Bytes(2000, 'a')));
    return package;
}

}  // namespace

TEST_CASE("every flipped bit is found by verify, and outside blobs already by open") {
    Written written(compressible_package());
    const auto reader = archive::open_reader(written.path).value();
    const auto entries = reader->entries();
    const auto blob = std::ranges::find(entries, PartKind::blob, &archive::Entry::kind);
    REQUIRE(blob != entries.end());
    for (std::size_t i = 0; i < written.bytes.size(); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes damaged = written.bytes;
            damaged[i] = static_cast<std::uint8_t>(damaged[i] ^ (1u << bit));
            MemoryFs fs(damaged);
            const Status verified = archive::verify(written.path, {.fs = &fs});
            CAPTURE(i);
            CAPTURE(bit);
            REQUIRE_FALSE(verified.has_value());
            CHECK(verified.error().code == ErrorCode::corrupt);
            if (i < blob->offset) {
                const Result<Package> opened = archive::open(written.path, {.fs = &fs});
                REQUIRE_FALSE(opened.has_value());
                CHECK(opened.error().code == ErrorCode::corrupt);
            }
        }
    }
}

TEST_CASE("every truncation is refused at open, and the message says so") {
    Written written(compressible_package());
    for (std::size_t length = 0; length < written.bytes.size(); ++length) {
        MemoryFs fs(ByteView(written.bytes).first(length));
        const Result<Package> package = archive::open(written.path, {.fs = &fs});
        REQUIRE_FALSE(package.has_value());
        CHECK(package.error().code == ErrorCode::corrupt);
        CHECK(package.error().context == "in '" + written.path + "'");
        if (length == 0) {
            CHECK(package.error().message == "the file is empty");
        } else if (length < archive::k_header_size) {
            CHECK(package.error().message ==
                  "the file is truncated: it has " + std::to_string(length) + " bytes, fewer than the header's 128");
        } else {
            CHECK(package.error().message == "the file is truncated: it has " + std::to_string(length) + " of " +
                                                 std::to_string(written.bytes.size()) + " bytes");
        }
    }
}

TEST_CASE("anything appended is refused at open") {
    Written written(tiny_package());
    for (const std::size_t count : {1u, 63u, 64u, 4096u}) {
        Bytes longer = written.bytes;
        longer.resize(longer.size() + count, 0);
        store(written.path, longer);
        CHECK(archive::open(written.path).error().message == std::to_string(count) + " bytes follow the end of the package");
    }
    Bytes twice = written.bytes;
    twice.insert(twice.end(), written.bytes.begin(), written.bytes.end());
    store(written.path, twice);
    CHECK(archive::open(written.path).error().code == ErrorCode::corrupt);
}

TEST_CASE("files of zeros and of other kinds are said to be no package") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    const Bytes files[] = {Bytes(4096, 0),
                           Bytes(1, 0),
                           bytes_of("PK\x03\x04 a zip file"),
                           bytes_of("\x7f"
                                    "ELF"),
                           bytes_of("\x89PNG\r\n\x1a\n"),
                           bytes_of("\x89"
                                    "CFP\n\x1a\n text mode"),
                           Bytes(200, 'a')};
    for (const Bytes& bytes : files) {
        store(path, bytes);
        const Result<Package> package = archive::open(path);
        REQUIRE_FALSE(package.has_value());
        CHECK(package.error().code == ErrorCode::corrupt);
        CHECK(package.error().message == "this is not a coldframe package: it begins with other bytes");
    }
}

TEST_CASE("zeros in place of any part are found") {
    Written written(compressible_package());
    const auto reader = archive::open_reader(written.path).value();
    std::uint32_t number = 0;
    for (const archive::Entry& entry : reader->entries()) {
        Bytes damaged = written.bytes;
        std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(entry.offset), entry.stored_size, std::uint8_t{0});
        store(written.path, damaged);
        const Status verified = archive::verify(written.path);
        REQUIRE_FALSE(verified.has_value());
        CHECK(verified.error().message == "entry " + std::to_string(number) + " (" + std::string(to_string(entry.kind)) +
                                              ") is damaged: its bytes do not match their digest");
        ++number;
    }
}
