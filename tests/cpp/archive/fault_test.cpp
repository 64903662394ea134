// Every system call of writing and reading fails in turn, in every way: the previous file stays good, nothing is left behind.
#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>

#include <support/fault_fs.hpp>
#include <support/sample.hpp>
#include <support/temporary_directory.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

Package large_package() {
    Package package = full_package();
    Bytes noise;
    Digest state = digest_of("seed");
    while (noise.size() < (3u << 20)) {  // more than the writer's buffer: several writes
        state = sha256(state);
        noise.insert(noise.end(), state.begin(), state.end());
    }
    package.artifacts[0]->blobs.push_back(make_blob("noise", noise));
    return package;
}

}  // namespace

TEST_CASE("whatever call fails while writing, the previous package is intact and nothing is left") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    const Package previous = tiny_package();
    const Package package = large_package();
    REQUIRE(archive::write(previous, path).has_value());
    const Bytes before = load(path);
    FaultFs counting;
    REQUIRE(archive::write(package, path, {.fs = &counting}).has_value());
    const Bytes after = load(path);
    REQUIRE(counting.calls() >= 10);

    const std::pair<int, ErrorCode> errors[] = {{ENOSPC, ErrorCode::no_space}, {EDQUOT, ErrorCode::no_space},
                                                {EROFS, ErrorCode::io},        {EACCES, ErrorCode::io},
                                                {EIO, ErrorCode::io},          {ENOMEM, ErrorCode::io}};
    for (const auto& [error, code] : errors) {
        for (std::size_t call = 1; call <= counting.calls(); ++call) {
            store(path, before);
            FaultFs fs({.at_call = call, .error = error});
            const auto report = archive::write(package, path, {.fs = &fs});
            CAPTURE(call);
            CAPTURE(counting.name_of_call(call));
            CHECK(fs.open_descriptors() == 0);
            CHECK(directory.count() == 1);
            if (call == counting.calls()) {  // the directory's descriptor, when all is done
                CHECK(report.has_value());
                continue;
            }
            REQUIRE_FALSE(report.has_value());
            CHECK(report.error().code == code);
            CHECK(report.error().context == "while writing '" + path + "'");
            const bool renamed = call == counting.calls() - 1;
            CHECK(load(path) == (renamed ? after : before));
            CHECK(archive::verify(path).has_value());
        }
    }
}

TEST_CASE("a disk that fills up and stays full leaves no partial file where there was none") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    FaultFs counting;
    REQUIRE(archive::write(full_package(), path, {.fs = &counting}).has_value());
    std::filesystem::remove(path);
    for (std::size_t call = 1; call < counting.calls() - 1; ++call) {
        FaultFs fs({.at_call = call, .error = ENOSPC, .only_once = false});
        const auto report = archive::write(full_package(), path, {.fs = &fs});
        REQUIRE_FALSE(report.has_value());
        CHECK(report.error().code == ErrorCode::no_space);
        CHECK(directory.count() == 0);
    }
}

TEST_CASE("whatever call fails while opening and reading, the error is io and every descriptor is closed") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a.cfp");
    REQUIRE(archive::write(full_package(), path).has_value());
    FaultFs counting;
    REQUIRE(archive::verify(path, {.fs = &counting}).has_value());
    for (std::size_t call = 1; call < counting.calls(); ++call) {  // the last is close
        FaultFs fs({.at_call = call, .error = EIO});
        const Status status = archive::verify(path, {.fs = &fs});
        CAPTURE(call);
        REQUIRE_FALSE(status.has_value());
        CHECK(status.error().code == ErrorCode::io);
        CHECK(status.error().message.starts_with("cannot "));
        CHECK(fs.open_descriptors() == 0);
    }
}

TEST_CASE("short and interrupted calls change neither the bytes nor what is read") {
    const TemporaryDirectory directory;
    REQUIRE(archive::write(full_package(), directory.file("a")).has_value());
    FaultFs fs({.interrupt = true, .transfer = 7});
    REQUIRE(archive::write(full_package(), directory.file("b"), {.fs = &fs}).has_value());
    CHECK(load(directory.file("a")) == load(directory.file("b")));
    const Result<Package> package = archive::open(directory.file("b"), {.fs = &fs});
    REQUIRE(package.has_value());
    check_equal(*package, full_package());
}

TEST_CASE("a blob of the written package that cannot be read leaves the previous file") {
    const TemporaryDirectory directory;
    REQUIRE(archive::write(full_package(), directory.file("a")).has_value());
    REQUIRE(archive::write(tiny_package(), directory.file("b")).has_value());
    const Bytes before = load(directory.file("b"));
    const Package package = archive::open(directory.file("a")).value();
    std::filesystem::resize_file(directory.file("a"), 200);
    CHECK(archive::write(package, directory.file("b")).error().code == ErrorCode::corrupt);
    CHECK(load(directory.file("b")) == before);
    CHECK(directory.count() == 2);
}
