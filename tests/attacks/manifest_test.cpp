// Sound containers around hostile documents: manifests that refer to what is not there, or are not the one encoding.
#include <coldframe/archive/reader.hpp>

#include <coldframe/util/memory_fs.hpp>
#include <support/forge.hpp>
#include <support/sample.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

// Encodes honestly, but numbers parts as it is told.
class LyingParts final : public PartSink {
   public:
    explicit LyingParts(std::function<std::uint32_t(PartKind, std::uint32_t)> number) : number_(std::move(number)) {}
    Result<std::uint32_t> add(PartKind kind, Bytes) override { return number_(kind, ++count_); }
    Result<std::uint32_t> add(const BlobPtr&) override { return number_(PartKind::blob, ++count_); }

   private:
    std::function<std::uint32_t(PartKind, std::uint32_t)> number_;
    std::uint32_t count_ = 0;
};

Error refusal(const Bytes& file) {
    MemoryFs fs(file);
    const Result<Package> package = archive::open("x.cfp", {.fs = &fs});
    REQUIRE_FALSE(package.has_value());
    return package.error();
}

void check_manifest(const Bytes& manifest, std::string_view message) {
    Forge forge(tiny_package());
    forge.replace(0, manifest);
    const Error error = refusal(forge.file());
    CHECK(error.code == ErrorCode::corrupt);
    CHECK(error.message.substr(0, message.size()) == message);
}

void check_reference(PartKind lied_about, std::uint32_t number, std::string_view message) {
    LyingParts parts([&](PartKind kind, std::uint32_t honest) { return kind == lied_about ? number : honest; });
    check_manifest(encode_manifest(tiny_package(), parts).value(), message);
}

Bytes sound_manifest() { return Forge(tiny_package()).stored[0]; }

}  // namespace

TEST_CASE("a reference to a part must be to one of its kind") {
    check_reference(PartKind::code, 99, "the manifest refers to entry 99 as code, which it is not");
    check_reference(PartKind::code, 0, "the manifest refers to entry 0 as code, which it is not");
    check_reference(PartKind::code, 2, "the manifest refers to entry 2 as code, which it is not");
    check_reference(PartKind::guards, 1, "the manifest refers to entry 1 as guards, which it is not");
    check_reference(PartKind::blob, 1, "the manifest refers to entry 1 as blob, which it is not");
    check_reference(PartKind::blob, 0xffffffff, "the manifest refers to entry 4294967295 as blob, which it is not");
}

TEST_CASE("a manifest is its one encoding, from its first byte to its last") {
    check_manifest({}, "an item that is cut short");
    check_manifest({0x80}, "no map");
    check_manifest({0xa0}, "a structure that lacks fields");
    Bytes manifest = sound_manifest();
    manifest.push_back(0xf6);
    check_manifest(manifest, "1 bytes follow the end");
    manifest = sound_manifest();
    manifest[1] = 0x01;
    check_manifest(manifest, "field 0 is missing or out of order");
    manifest = sound_manifest();
    manifest.erase(manifest.begin() + 1);
    manifest.insert(manifest.begin() + 1, {0x18, 0x00});
    check_manifest(manifest, "a head that is not the shortest");
}

TEST_CASE("whatever byte of a manifest changes, opening ends in a package or an error that says corrupt") {
    const Bytes manifest = sound_manifest();
    for (std::size_t i = 0; i < manifest.size(); ++i) {
        for (const unsigned flip : {0x01u, 0x02u, 0x10u, 0x20u, 0x40u, 0x80u, 0xffu}) {
            Bytes changed = manifest;
            changed[i] = static_cast<std::uint8_t>(changed[i] ^ flip);
            Forge forge(tiny_package());
            forge.replace(0, changed);
            const Bytes file = forge.file();
            MemoryFs fs(file);
            const Result<Package> package = archive::open("x.cfp", {.fs = &fs});
            if (!package) CHECK(package.error().code == ErrorCode::corrupt);
        }
        Forge cut(tiny_package());
        cut.replace(0, Bytes(manifest.begin(), manifest.begin() + static_cast<std::ptrdiff_t>(i)));
        CHECK(refusal(cut.file()).code == ErrorCode::corrupt);
    }
}

TEST_CASE("code and guards that are not what they should be are told with their part") {
    Forge forge(tiny_package());
    REQUIRE(forge.entries[1].kind == PartKind::code);
    forge.replace(1, {0xf6});
    Error error = refusal(forge.file());
    CHECK(error.code == ErrorCode::corrupt);
    CHECK(error.message.starts_with("a value that is no code object"));
    CHECK(error.context == "in part 1; in 'x.cfp'");

    forge = Forge(tiny_package());
    REQUIRE(forge.entries[2].kind == PartKind::guards);
    forge.replace(2, {0xa0});
    error = refusal(forge.file());
    CHECK(error.code == ErrorCode::corrupt);
    CHECK(error.context == "in part 2; in 'x.cfp'");
}

TEST_CASE("roles and details are of the kinds that the model has") {
    Package package = tiny_package();
    package.codes[0]->role = static_cast<CodeRole>(9);
    CHECK(refusal(Forge(package).file()).message.starts_with("an unknown code role 9"));
    Forge newer(package);
    newer.version.minor = 1;
    CHECK(refusal(newer.file()).code == ErrorCode::unsupported);
}

TEST_CASE("entries that decide have the types of the format") {
    const auto renamed = [](const Package& package, std::string_view from, std::string_view to) {
        PlainParts parts;
        Bytes manifest = encode_manifest(package, parts).value();
        const auto found = std::ranges::search(manifest, from);
        REQUIRE(found.size() == from.size());
        std::ranges::copy(to, found.begin());
        return manifest;
    };
    Package package = tiny_package();
    package.codes[0]->guarded_codes[0]->details = Dict{{{Value::str("REENTERED"), Value::integer(1)}}};
    check_manifest(renamed(package, "REENTERED", "reentered"), "details that are none");
    package = tiny_package();
    package.environment.settings["STRUCTURE"] = Bytes(31);
    check_manifest(renamed(package, "STRUCTURE", "structure"), "settings that are none");
}

TEST_CASE("documents that nest without end are refused before the stack ends") {
    Bytes deep(1 << 20, 0x81);
    deep.push_back(0xf6);
    check_manifest(deep, "no map");
    Forge forge(tiny_package());
    forge.replace(1, deep);
    CHECK(refusal(forge.file()).message.starts_with("a value that nests deeper than 256 levels"));
}
