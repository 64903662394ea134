#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>

#include <support/sample.hpp>
#include <support/temporary_directory.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

using namespace coldframe;
using namespace coldframe::testing;

TEST_CASE("a package comes back from its file, field by field") {
    const TemporaryDirectory directory;
    for (const Package& package : {Package(), tiny_package(), full_package()}) {
        const std::string path = directory.file("a.cfp");
        const auto report = archive::write(package, path);
        REQUIRE(report.has_value());
        CHECK(report->size == std::filesystem::file_size(path));
        const Result<Package> back = archive::open(path);
        REQUIRE(back.has_value());
        check_equal(*back, package);
        CHECK(archive::verify(path).has_value());
        CHECK(archive::open_reader(path).value()->digest() == report->digest);
    }
}

TEST_CASE("the same package gives the same bytes, read back or not") {
    const TemporaryDirectory directory;
    REQUIRE(archive::write(full_package(), directory.file("a")).has_value());
    REQUIRE(archive::write(full_package(), directory.file("b")).has_value());
    REQUIRE(archive::write(archive::open(directory.file("a")).value(), directory.file("c")).has_value());
    CHECK(load(directory.file("a")) == load(directory.file("b")));
    CHECK(load(directory.file("a")) == load(directory.file("c")));
}

TEST_CASE("a package goes through memory as through a file, and damage is found there as well") {
    const TemporaryDirectory directory;
    REQUIRE(archive::write(full_package(), directory.file("a")).has_value());
    Bytes bytes = archive::to_bytes(full_package()).value();
    CHECK(bytes == load(directory.file("a")));
    const Package back = archive::from_bytes(bytes).value();
    check_equal(back, full_package());
    CHECK(archive::to_bytes(back).value() == bytes);
    bytes[bytes.size() / 2] ^= 1;
    const Result<Package> damaged = archive::from_bytes(bytes, "the message");
    const bool found = !damaged || !archive::to_bytes(*damaged);
    CHECK(found);
    bytes.resize(10);
    const Result<Package> cut = archive::from_bytes(bytes, "the message");
    REQUIRE(!cut.has_value());
    CHECK(cut.error().what().find("the message") != std::string::npos);
}

TEST_CASE("a package can be written over the file that its blobs lie in") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    REQUIRE(archive::write(full_package(), path).has_value());
    Package package = archive::open(path).value();
    package.producer = "another";
    REQUIRE(archive::write(package, path).has_value());
    const Package back = archive::open(path).value();
    CHECK(back.producer == "another");
    check_equal(back, package);
}

TEST_CASE("equal parts are stored once, and what compresses is compressed") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    REQUIRE(archive::write(full_package(), path).has_value());
    const auto reader = archive::open_reader(path).value();
    const auto entries = reader->entries();
    for (std::size_t i = 0; i < entries.size(); ++i) {
        for (std::size_t k = 0; k < i; ++k) {
            CHECK_FALSE((entries[i].kind == entries[k].kind && entries[i].raw_digest == entries[k].raw_digest));
        }
        CHECK(entries[i].offset % archive::k_alignment == 0);
    }
    const auto large = std::ranges::find(entries, std::uint64_t{100000}, &archive::Entry::raw_size);
    REQUIRE(large != entries.end());
    CHECK(large->codec == archive::Codec::zstd);
    CHECK(large->stored_size < 50000);

    // Eight variants that share their kernel cost little more than one.
    Package package = full_package();
    for (int i = 0; i < 7; ++i) {
        auto variant = std::make_shared<GuardedCode>(*package.codes[0]->guarded_codes[0]);
        variant->guards = tiny_guards("v" + std::to_string(i));
        package.codes[0]->guarded_codes.push_back(variant);
        auto artifact = std::make_shared<Artifact>(*package.artifacts[1]);
        artifact->backend_id = "copy_" + std::to_string(i);
        package.artifacts.push_back(artifact);
    }
    const auto report = archive::write(package, path);
    REQUIRE(report.has_value());
    CHECK(report->entry_count == entries.size() + 7);
}

TEST_CASE("bytes that do not compress are stored as they are") {
    Package package = tiny_package();
    Bytes noise;
    Digest state = digest_of("seed");
    for (int i = 0; i < 128; ++i) {
        state = sha256(state);
        noise.insert(noise.end(), state.begin(), state.end());
    }
    package.artifacts[0]->blobs = {make_blob("noise", noise)};
    const TemporaryDirectory directory;
    REQUIRE(archive::write(package, directory.file("a")).has_value());
    const auto reader = archive::open_reader(directory.file("a")).value();
    CHECK(reader->entries().back().codec == archive::Codec::stored);
    CHECK(reader->read(static_cast<std::uint32_t>(reader->entries().size() - 1)).value() == noise);
}

TEST_CASE("a blob that expands beyond what its stored size makes plausible is still read") {
    Package package = tiny_package();
    package.artifacts[0]->blobs = {make_blob("zeros", Bytes(20 << 20, 0))};
    const TemporaryDirectory directory;
    REQUIRE(archive::write(package, directory.file("a")).has_value());
    const Package back = archive::open(directory.file("a")).value();
    CHECK(back.artifacts[0]->blobs[0]->read().value() == Bytes(20 << 20, 0));
}

TEST_CASE("blobs are read from the file that was opened, though its path is replaced or removed") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    REQUIRE(archive::write(full_package(), path).has_value());
    const Package package = archive::open(path).value();
    REQUIRE(archive::write(tiny_package(), path).has_value());
    check_equal(package, full_package());
    std::filesystem::remove(path);
    check_equal(package, full_package());
}

TEST_CASE("a blob damaged or cut off after opening is corrupt when it is read") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    REQUIRE(archive::write(full_package(), path).has_value());
    const Package package = archive::open(path).value();
    const BlobPtr blob = package.artifacts[1]->blobs[0];
    const auto reader = archive::open_reader(path).value();
    const auto large = std::ranges::find(reader->entries(), std::uint64_t{100000}, &archive::Entry::raw_size);
    Bytes bytes = load(path);
    bytes[large->offset + large->stored_size / 2] ^= 1;
    store(path, bytes);
    const Result<Bytes> damaged = blob->read();
    REQUIRE_FALSE(damaged.has_value());
    CHECK(damaged.error().code == ErrorCode::corrupt);
    CHECK(damaged.error().message.ends_with("is damaged: its bytes do not match their digest"));
    CHECK(damaged.error().context == "in '" + path + "'; blob 'kernel.so'");
    std::filesystem::resize_file(path, large->offset + 1);
    CHECK(blob->read().error().code == ErrorCode::corrupt);
}

TEST_CASE("a package that breaks the model's rules is not written, and the previous file stays") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    REQUIRE(archive::write(tiny_package(), path).has_value());
    const Bytes before = load(path);
    std::vector<Package> bad;
    while (bad.size() < 10) bad.push_back(tiny_package());
    bad[0].codes[0] = nullptr;
    bad[1].codes[0]->python_code = nullptr;
    bad[2].codes[0]->guarded_codes[0] = nullptr;
    bad[3].codes[0]->guarded_codes[0]->details = None{};
    bad[4].artifacts[0]->blobs[0] = nullptr;
    bad[5].producer = "\xff";
    bad[6].artifacts[0]->recipe = Slice{};
    bad[7].codes[0]->guarded_codes[0]->details = Dict{{{Value::str("reentered"), Value::integer(1)}}};
    bad[8].codes[0]->guarded_codes[0]->details = Dict{{{Value::str("options"), Bytes(31)}}};
    bad[9].environment.settings["structure"] = Bytes(33);
    for (const Package& package : bad) {
        const auto report = archive::write(package, path);
        REQUIRE_FALSE(report.has_value());
        CHECK(report.error().code == ErrorCode::invalid_argument);
        CHECK(report.error().context == "while writing '" + path + "'");
        CHECK(load(path) == before);
        CHECK(directory.count() == 1);
    }
}

TEST_CASE("a blob whose bytes are not those of its digest is not written") {
    class LyingBlob final : public Blob {
       public:
        const std::string& name() const override { return name_; }
        std::uint64_t size() const override { return 1; }
        const Digest& digest() const override { return digest_; }
        Result<Bytes> read() const override { return Bytes{1}; }

       private:
        std::string name_ = "liar";
        Digest digest_{};
    };
    Package package = tiny_package();
    package.artifacts[0]->blobs = {std::make_shared<LyingBlob>()};
    const TemporaryDirectory directory;
    CHECK(archive::write(package, directory.file("a")).error().message == "the bytes of blob 'liar' do not match its digest");
    CHECK(directory.count() == 0);
}

TEST_CASE("what is no regular file is refused without being read") {
    const TemporaryDirectory directory;
    CHECK(archive::open(directory.file("absent")).error().code == ErrorCode::not_found);
    const auto refused = archive::open(directory.path());
    CHECK(refused.error().code == ErrorCode::invalid_argument);
    CHECK(refused.error().message == "'" + directory.path() + "' is a directory, not a package");
    REQUIRE(::mkfifo(directory.file("fifo").c_str(), 0600) == 0);
    CHECK(archive::open(directory.file("fifo")).error().message.ends_with("is not a regular file, not a package"));
    CHECK(archive::open("/dev/null").error().code == ErrorCode::invalid_argument);
}

TEST_CASE("a file that others may write is untrusted, and the message says what to do") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    REQUIRE(archive::write(tiny_package(), path).has_value());
    for (const mode_t mode : {0664u, 0646u, 0666u, 0777u, 0620u}) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        const Result<Package> package = archive::open(path);
        REQUIRE_FALSE(package.has_value());
        CHECK(package.error().code == ErrorCode::untrusted);
        CHECK(package.error().message.find("chmod go-w '" + path + "'") != std::string::npos);
        CHECK(archive::verify(path).error().code == ErrorCode::untrusted);
        CHECK(archive::open(path, {.owner_check = archive::OwnerCheck::skip}).has_value());
    }
    for (const mode_t mode : {0600u, 0644u, 0755u, 0444u}) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        CHECK(archive::open(path).has_value());
    }
}

TEST_CASE("a file of another user is untrusted, one of root is not") {
    const auto check = [](std::uint32_t owner, std::uint32_t user) {
        return archive::check_owner({FileKind::regular, 1, owner, 0600}, user, "x");
    };
    CHECK(check(1000, 1000).has_value());
    CHECK(check(0, 1000).has_value());
    CHECK(check(0, 0).has_value());
    CHECK(check(1001, 1000).error().code == ErrorCode::untrusted);
    CHECK(check(1000, 0).error().code == ErrorCode::untrusted);
    CHECK(check(1001, 1000).error().message.starts_with("'x' belongs to user 1001, neither to you nor to root"));
}
