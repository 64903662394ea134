// Files whose digests are all sound, so that only the rules of the container stand between them and harm: one rule, one file,
// one message.
#include <coldframe/archive/compress.hpp>
#include <coldframe/archive/reader.hpp>

#include <coldframe/util/memory_fs.hpp>
#include <support/forge.hpp>
#include <support/sample.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

Status verify(const Bytes& file) {
    MemoryFs fs(file);
    return archive::verify("x.cfp", {.fs = &fs});
}

Status open(const Bytes& file) {
    MemoryFs fs(file);
    const Result<Package> package = archive::open("x.cfp", {.fs = &fs});
    if (!package) return std::unexpected(package.error());
    return {};
}

// Blobs are read from the file later, so it has to stay.
void check_opens(const Bytes& file, const Package& expected) {
    MemoryFs fs(file);
    const Result<Package> package = archive::open("x.cfp", {.fs = &fs});
    REQUIRE(package.has_value());
    check_equal(*package, expected);
}

void check_refused(const Bytes& file, ErrorCode code, std::string_view message) {
    const Status opened = open(file);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().code == code);
    CHECK(opened.error().message.substr(0, message.size()) == message);
    CHECK(opened.error().context.ends_with("in 'x.cfp'"));
}

void put_u32(Bytes& header, std::size_t offset, std::uint32_t value) {
    for (unsigned i = 0; i < 4; ++i) header[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

void check_header(std::size_t offset, std::uint32_t value, ErrorCode code, std::string_view message) {
    Forge forge(tiny_package());
    forge.change_header = [&](Bytes& header) { put_u32(header, offset, value); };
    check_refused(forge.file(), code, message);
}

using Change = std::function<void(std::vector<archive::Entry>&)>;

void check_table(const Change& change, std::string_view message) {
    Forge forge(tiny_package());
    change(forge.entries);
    check_refused(forge.file(), ErrorCode::corrupt, message);
}

}  // namespace

TEST_CASE("a forged file that lies about nothing is sound") {
    CHECK(verify(Forge(tiny_package()).file()).has_value());
    check_opens(Forge(full_package()).file(), full_package());
}

TEST_CASE("a newer major version is unsupported, whatever else it holds; version 0 never was") {
    check_header(8, 2, ErrorCode::unsupported,
                 "the package has format version 2.0; this coldframe reads version 1: use a newer");
    check_header(8, 0xffff, ErrorCode::unsupported, "the package has format version 65535.0");
    check_header(8, 0, ErrorCode::corrupt, "the header's major version is 0");
    Forge forge(tiny_package());
    forge.change_header = [](Bytes& header) {
        put_u32(header, 8, 2);
        std::fill(header.begin() + 12, header.begin() + 96, std::uint8_t{0xee});
    };
    check_refused(forge.file(), ErrorCode::unsupported, "the package has format version 2.0");
}

TEST_CASE("every field of the header is held to its one value") {
    check_header(12, 129, ErrorCode::corrupt, "the header's own size is 129, not 128");
    check_header(24, 192, ErrorCode::corrupt, "the header's table offset is 192, not 128");
    check_header(36, 97, ErrorCode::corrupt, "the header's entry size is 97, not 96");
    check_header(40, 1, ErrorCode::corrupt, "the header's reserved bytes are not zero");
    check_header(60, 1u << 31, ErrorCode::corrupt, "the header's reserved bytes are not zero");
    check_header(32, 0, ErrorCode::corrupt, "the header counts 0 entries");
    check_header(32, 65537, ErrorCode::corrupt, "the header counts 65537 entries");
    check_header(32, 65536, ErrorCode::corrupt, "the table reaches beyond the end of the file");
    check_header(32, 2, ErrorCode::corrupt, "the table of entries is damaged");
    check_header(20, 1u << 31, ErrorCode::corrupt, "the header's file size is beyond the limit");
    check_header(20, 1, ErrorCode::corrupt, "the file is truncated");
    const std::size_t size = Forge(tiny_package()).file().size();
    check_header(16, 128, ErrorCode::corrupt, std::to_string(size - 128) + " bytes follow the end of the package");
}

TEST_CASE("parts lie without hole, overlap or remainder") {
    check_table([](auto& e) { e[1].offset += 64; }, "entry 1 is at offset ");
    check_table([](auto& e) { e[2].offset = e[1].offset; }, "entry 2 is at offset ");
    check_table([](auto& e) { e[1].offset += 1; }, "entry 1 is at offset ");
    check_table([](auto& e) { e[0].offset = 0; }, "entry 0 is at offset 0, not at ");
    check_table([](auto& e) { e[0].offset = ~std::uint64_t{63}; }, "entry 0 is at offset 18446744073709551552, not at ");
    check_table([](auto& e) { std::swap(e[1], e[2]); }, "entry 1 is at offset ");
    check_table([](auto& e) { e.back().stored_size = ~std::uint64_t{0}; }, "entry 5 reaches beyond the end of the file");
    check_table([](auto& e) { e[1].stored_size = ~std::uint64_t{0} - e[1].offset; }, "entry 1 reaches beyond");
    check_table([](auto& e) { e.back().stored_size -= 1, e.back().raw_size -= 1; }, "bytes follow the last entry");
    Forge forge(tiny_package());
    forge.appended = {0};
    check_refused(forge.file(), ErrorCode::corrupt, "bytes follow the last entry");
}

TEST_CASE("every entry is of a kind, a codec and a size that the format has") {
    check_table([](auto& e) { e[0].kind = PartKind::code; }, "entry 0 is not the manifest");
    check_table([](auto& e) { e[1].kind = PartKind::manifest; }, "entry 1 is a second manifest");
    check_table([](auto& e) { e[1].kind = static_cast<PartKind>(0); }, "entry 1 has an unknown kind");
    check_table([](auto& e) { e[1].kind = static_cast<PartKind>(5); }, "entry 1 has an unknown kind");
    check_table([](auto& e) { e[1].codec = static_cast<archive::Codec>(2); }, "entry 1 is packed with an unknown codec");
    check_table([](auto& e) { e[1].raw_size += 1; }, "entry 1 is stored as it is, with two sizes or two digests");
    check_table([](auto& e) { e[1].raw_digest[0] ^= 1; }, "entry 1 is stored as it is, with two sizes or two digests");
    check_table([](auto& e) { e[1].codec = archive::Codec::zstd; }, "entry 1 is compressed, and not smaller for it");
    const auto huge = [](std::uint64_t size) {
        return [size](auto& entry) { entry.codec = archive::Codec::zstd, entry.raw_size = size; };
    };
    check_table([&](auto& e) { huge(archive::k_max_document_size + 1)(e[0]); }, "entry 0 is larger than the limit of its kind");
    check_table([&](auto& e) { huge(archive::k_max_document_size + 1)(e[1]); }, "entry 1 is larger than the limit of its kind");
    check_table([&](auto& e) { huge(archive::k_max_blob_size + 1)(e[4]); }, "entry 4 is larger than the limit of its kind");
    check_table([&](auto& e) { huge(archive::max_decompressed_size(e[4].stored_size) + 1)(e[4]); },
                "entry 4 is compressed more than a part may be");
}

TEST_CASE("padding hides nothing") {
    Forge forge(tiny_package());
    forge.add(PartKind::blob, {});  // the table of seven entries ends between two multiples of 64
    forge.padding = 1;
    check_refused(forge.file(), ErrorCode::corrupt, "the padding at offset ");
    const Bytes sound = Forge(tiny_package()).file();
    const std::size_t end =
        static_cast<std::size_t>(Forge(tiny_package()).entries[1].offset) + Forge(tiny_package()).stored[1].size();
    Bytes file = sound;
    REQUIRE(file[end] == 0);
    file[end] = 1;
    CHECK(open(file).error().message == "the padding at offset " + std::to_string(end) + " is not zero");
}

TEST_CASE("compressed parts are exactly one frame of exactly the recorded bytes") {
    const Bytes raw(5000, 'a');
    const Bytes packed = archive::compress(raw, 3).value();
    const auto check = [&](const Bytes& stored, std::uint64_t raw_size, const Digest& digest, std::string_view how) {
        Forge forge(tiny_package());
        forge.replace_packed(4, stored, raw_size, digest);
        const Status status = verify(forge.file());
        if (how.empty()) {
            CHECK(status.has_value());
            return;
        }
        REQUIRE_FALSE(status.has_value());
        CHECK(status.error().code == ErrorCode::corrupt);
        CHECK(status.error().message == "entry 4 (blob) is damaged: " + std::string(how));
    };
    check(packed, raw.size(), sha256(raw), "");
    check(packed, raw.size(), sha256(packed), "its decompressed bytes do not match their digest");
    check(packed, raw.size() + 1, sha256(raw), "no zstd frame of 5001 bytes");
    check(Bytes(100, 0), 5000, sha256(raw), "no zstd frame of 5000 bytes");
    check({}, 5000, sha256(raw), "no zstd frame of 5000 bytes");

    check(joined(packed, packed), raw.size(), sha256(raw), "not exactly one zstd frame");
    Bytes cut = packed;
    cut.pop_back();
    check(cut, raw.size(), sha256(raw), "not exactly one zstd frame");
    const Bytes skippable = {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0};
    check(joined(skippable, packed), raw.size(), sha256(raw), "no zstd frame of 5000 bytes");
}

TEST_CASE("a frame that claims all that it may costs what it really holds") {
    // Single segment, content size of eight bytes, then one block of a megabyte less one: an RLE block of 'a', the last one.
    const std::uint64_t claimed = archive::k_max_document_size;
    Bytes bomb = {0x28, 0xb5, 0x2f, 0xfd, 0xe0};
    for (unsigned i = 0; i < 8; ++i) bomb.push_back(static_cast<std::uint8_t>(claimed >> (8 * i)));
    bomb = joined(bomb, {0x03, 0x00, 0x10, 'a'});
    Forge forge(tiny_package());
    forge.replace_packed(4, bomb, claimed, Digest{});
    const Status status = verify(forge.file());
    REQUIRE_FALSE(status.has_value());
    CHECK(status.error().code == ErrorCode::corrupt);
}

TEST_CASE("a newer minor version may add entries, fields and reserved bytes, but nothing that must be understood") {
    const auto newer = [] {
        Forge forge(tiny_package());
        forge.version.minor = 1;
        return forge;
    };
    Forge forge = newer();
    forge.add(static_cast<PartKind>(77), bytes_of("something new"));
    forge.place();
    forge.change_header = [](Bytes& header) { header[45] = 1; };
    Bytes manifest = forge.stored[0];
    REQUIRE(manifest[0] == 0xa8);
    manifest[0] = 0xa9;
    manifest = joined(manifest, {0x08, 0x18, 0x2a});
    forge.replace(0, manifest);
    check_opens(forge.file(), tiny_package());
    CHECK(verify(forge.file()).has_value());

    forge = newer();
    forge.entries[4].codec = static_cast<archive::Codec>(2);
    check_refused(forge.file(), ErrorCode::unsupported, "entry 4 is packed with an unknown codec");

    forge = newer();
    REQUIRE(forge.entries[2].kind == PartKind::guards);
    forge.replace(2, {0xa2, 0, 0x81, 0x60, 1, 0x81, 0x86, 0x18, 63, 0x81, 0, 0x80, 0, 0x80, 0xf6});
    check_refused(forge.file(), ErrorCode::unsupported, "an unknown guard kind 63");

    // The same manifest in a file of this version is damage.
    Forge same(tiny_package());
    same.replace(0, manifest);
    check_refused(same.file(), ErrorCode::corrupt, "a structure with unknown fields");
}
