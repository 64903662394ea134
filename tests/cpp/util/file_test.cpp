#include <coldframe/util/file.hpp>

#include <support/fault_fs.hpp>
#include <support/temporary_directory.hpp>

#include <doctest/doctest.h>

#include <sys/stat.h>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

Status replace(Fs& fs, const std::string& path, ByteView bytes) {
    Result<AtomicFile> file = AtomicFile::create(fs, path);
    if (!file) return std::unexpected(file.error());
    if (Status written = file->write_at(0, bytes); !written) return written;
    return file->commit();
}

std::uint32_t mode_of(const std::string& path) {
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("an errno says what the caller should do") {
    CHECK(errno_error(ENOSPC, "write", "x").code == ErrorCode::no_space);
    CHECK(errno_error(EDQUOT, "write", "x").code == ErrorCode::no_space);
    CHECK(errno_error(ENOENT, "open", "x").code == ErrorCode::not_found);
    CHECK(errno_error(ENOTDIR, "open", "x").code == ErrorCode::not_found);
    CHECK(errno_error(EIO, "read", "x").code == ErrorCode::io);
    CHECK(errno_error(EACCES, "open", "x").what() == "cannot open 'x': Permission denied");
}

TEST_CASE("an atomic file appears whole, under its own name only") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a");
    {
        Result<AtomicFile> file = AtomicFile::create(Fs::real(), path);
        REQUIRE(file.has_value());
        REQUIRE(file->write_at(0, bytes_of_size(5)).has_value());
        CHECK(directory.count() == 1);
        CHECK_FALSE(std::filesystem::exists(path));
        REQUIRE(file->commit().has_value());
    }
    CHECK(load(path) == bytes_of_size(5));
    CHECK(directory.count() == 1);
}

TEST_CASE("an atomic file that is not committed leaves nothing") {
    const TemporaryDirectory directory;
    store(directory.file("a"), Bytes{1});
    {
        Result<AtomicFile> file = AtomicFile::create(Fs::real(), directory.file("a"));
        REQUIRE(file.has_value());
        AtomicFile moved = std::move(*file);
        REQUIRE(moved.write_at(0, Bytes{2}).has_value());
    }
    CHECK(load(directory.file("a")) == Bytes{1});
    CHECK(directory.count() == 1);
}

TEST_CASE("permissions respect the umask and never let others write") {
    const TemporaryDirectory directory;
    for (const auto& [mask, expected] : {std::pair{0000u, 0644u}, {0002u, 0644u}, {0077u, 0600u}}) {
        const mode_t before = ::umask(mask);
        const Status written = replace(Fs::real(), directory.file("a"), Bytes{1});
        ::umask(before);
        REQUIRE(written.has_value());
        CHECK(mode_of(directory.file("a")) == expected);
    }
}

TEST_CASE("a path that names no file, or lies in no directory, is refused") {
    const TemporaryDirectory directory;
    CHECK(AtomicFile::create(Fs::real(), "").error().code == ErrorCode::invalid_argument);
    CHECK(AtomicFile::create(Fs::real(), directory.file("x/")).error().code == ErrorCode::invalid_argument);
    CHECK(AtomicFile::create(Fs::real(), directory.file("absent/x")).error().code == ErrorCode::not_found);
    CHECK(InputFile::open(Fs::real(), directory.file("absent")).error().code == ErrorCode::not_found);
}

TEST_CASE("a directory cannot be replaced, and nothing is left beside it") {
    const TemporaryDirectory directory;
    std::filesystem::create_directory(directory.file("d"));
    CHECK(replace(Fs::real(), directory.file("d"), Bytes{1}).error().code == ErrorCode::io);
    CHECK(directory.count() == 1);
}

TEST_CASE("short and interrupted transfers move everything all the same") {
    const TemporaryDirectory directory;
    FaultFs fs({.interrupt = true, .transfer = 3});
    const Bytes bytes = bytes_of_size(100);
    REQUIRE(replace(fs, directory.file("a"), bytes).has_value());
    CHECK(load(directory.file("a")) == bytes);
    {
        const Result<InputFile> file = InputFile::open(fs, directory.file("a"));
        REQUIRE(file.has_value());
        Bytes back(100);
        REQUIRE(file->read_at(0, back).has_value());
        CHECK(back == bytes);
    }
    CHECK(fs.open_descriptors() == 0);
}

TEST_CASE("reading past the end of a file that has shrunk is corrupt") {
    const TemporaryDirectory directory;
    store(directory.file("a"), bytes_of_size(10));
    const Result<InputFile> file = InputFile::open(Fs::real(), directory.file("a"));
    REQUIRE(file.has_value());
    std::filesystem::resize_file(directory.file("a"), 4);
    Bytes buffer(10);
    const Status read = file->read_at(0, buffer);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == ErrorCode::corrupt);
    CHECK(read.error().message == "the file ends at byte 4, 6 bytes early: it was truncated");
}

TEST_CASE("whatever call fails while a file is replaced, old or new content is whole and no other file is left") {
    const TemporaryDirectory directory;
    const std::string path = directory.file("a");
    FaultFs counting;
    REQUIRE(replace(counting, path, Bytes{1}).has_value());
    for (const int error : {EIO, ENOSPC, EDQUOT, EACCES, EROFS, EMFILE, ENOMEM, ESTALE}) {
        for (std::size_t call = 1; call <= counting.calls(); ++call) {
            store(path, Bytes{1});
            FaultFs fs({.at_call = call, .error = error});
            const Status status = replace(fs, path, Bytes{2, 2});
            CAPTURE(counting.name_of_call(call));
            CAPTURE(call);
            const bool directory_sync = call == counting.calls() - 1;
            const bool directory_close = call == counting.calls();  // nothing hangs on it any more
            CHECK(status.has_value() == directory_close);
            CHECK(load(path) == (directory_sync || directory_close ? Bytes{2, 2} : Bytes{1}));
            CHECK(directory.count() == 1);
            CHECK(fs.open_descriptors() == 0);
        }
    }
}

TEST_CASE("a directory that cannot be synced at all is no failure") {
    const TemporaryDirectory directory;
    FaultFs counting;
    REQUIRE(replace(counting, directory.file("a"), Bytes{1}).has_value());
    for (const int error : {EINVAL, ENOTSUP}) {
        FaultFs fs({.at_call = counting.calls() - 1, .error = error});
        CHECK(replace(fs, directory.file("a"), Bytes{2}).has_value());
    }
}
