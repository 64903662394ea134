// What others may have planted in a store, and places that are not safe: refused or a miss, never followed, never a hang, and
// nothing outside the store is touched.
#include <store/support.hpp>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

using Plant = std::function<void(const std::string& path, const std::string& outside)>;

void plant_socket(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const std::string short_path = "/dev/shm/coldframe-test-socket-" + std::to_string(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, short_path.c_str(), short_path.size() + 1);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::close(fd);
    std::filesystem::rename(short_path, path);
}

// `outside` is a sound file or directory in the same place of another store.
const std::vector<std::pair<const char*, Plant>> k_plants = {
    {"link to a file", [](const auto& path, const auto& outside) { std::filesystem::create_symlink(outside, path); }},
    {"dangling link", [](const auto& path, const auto&) { std::filesystem::create_symlink("/nonexistent/x", path); }},
    {"link to a device", [](const auto& path, const auto&) { std::filesystem::create_symlink("/dev/zero", path); }},
    {"link to itself", [](const auto& path, const auto&) { std::filesystem::create_symlink(path, path); }},
    {"fifo", [](const auto& path, const auto&) { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }},
    {"socket", [](const auto& path, const auto&) { plant_socket(path); }},
    {"directory", [](const auto& path, const auto&) { std::filesystem::create_directory(path); }},
    {"writable file",
     [](const auto& path, const auto& outside) {
         std::filesystem::copy(outside, path, std::filesystem::copy_options::recursive);
         std::filesystem::permissions(path, std::filesystem::perms(0666));
     }},
    {"many names",
     [](const auto& path, const auto& outside) {
         const std::string copy = outside + ".copy";
         std::filesystem::copy(outside, copy);
         for (const std::string& name : {path, outside + ".a", outside + ".b"}) std::filesystem::create_hard_link(copy, name);
     }},
};

struct Twins {
    Scratch ours;
    Scratch theirs;
    Package package = package_of("f", 2, "kernel", 5000);

    Twins() {
        REQUIRE(ours.open()->put(package).has_value());
        REQUIRE(theirs.open()->put(package).has_value());
    }
    [[nodiscard]] std::string twin(const std::string& path) const { return theirs.path + path.substr(ours.path.size()); }
};

bool is_served(store::Store& store, const Package& package) {
    const auto found = store.get(package.key);
    if (!found || found->variants.empty()) return false;
    return std::ranges::all_of(found->variants[0].package.artifacts[1]->blobs,
                               [](const BlobPtr& blob) { return !!blob->read(); });
}

}  // namespace

TEST_CASE("whatever lies in the place of a manifest or an object is a miss, and the next put heals") {
    for (const auto& [name, plant] : k_plants) {
        for (const bool manifest : {true, false}) {
            CAPTURE(name);
            CAPTURE(manifest);
            const Twins twins;
            const std::string path = manifest ? twins.ours.manifests().at(0) : twins.ours.objects().at(0);
            std::filesystem::remove(path);
            plant(path, twins.twin(path));
            const auto store = twins.ours.open();
            CHECK_FALSE(is_served(*store, twins.package));
            REQUIRE(store->put(twins.package).has_value());
            CHECK(is_served(*store, twins.package));
            CHECK(store->check().value().problems.empty());
            check_served(*twins.theirs.open(), twins.package);
            REQUIRE(store->collect({.max_bytes = 0}).has_value());
        }
    }
}

TEST_CASE("whatever lies in the place of a directory is refused, and nothing behind it is read or written") {
    for (const auto& [name, plant] : k_plants) {
        if (std::string_view(name) == "directory" || std::string_view(name) == "many names") continue;
        for (const char* folder : {"obj", "act", "tmp", "bad", "stat", "trash", "lock"}) {
            CAPTURE(name);
            CAPTURE(folder);
            const Twins twins;
            const std::string path = twins.ours.path + "/" + folder;
            std::filesystem::create_directory(twins.theirs.path + "/" + folder);
            std::filesystem::remove_all(path);
            plant(path, twins.theirs.path + "/" + folder);
            const auto before = twins.theirs.files("");
            const auto store = twins.ours.open();
            const std::string_view place = folder;
            const bool served = is_served(*store, twins.package);
            CHECK(served == (place != "obj" && place != "act"));
            const bool stored = store->put(package_of("g", 1, "other", 5000)).has_value();
            if (place == "obj" || place == "act" || place == "tmp") CHECK_FALSE(stored);
            static_cast<void>(store->collect({.max_bytes = 0}));
            static_cast<void>(store->check(store::Repair::yes));
            static_cast<void>(store->statistics());
            static_cast<void>(store->list());
            CHECK(twins.theirs.files("") == before);
            check_served(*twins.theirs.open(), twins.package);
        }
    }
}

TEST_CASE("a directory that others may write is untrusted, whether the root, one above it or one in it") {
    const Scratch scratch;
    const Package package = package_of("f", 1);
    const auto store = scratch.open();
    REQUIRE(store->put(package).has_value());
    const auto expect_untrusted = [&](const std::string& path) {
        const auto permissions = std::filesystem::status(path).permissions();
        std::filesystem::permissions(path, std::filesystem::perms(0777));
        CAPTURE(path);
        CHECK_FALSE(is_served(*store, package));
        std::filesystem::permissions(path, permissions);
        CHECK(is_served(*store, package));
    };
    expect_untrusted(scratch.path);
    expect_untrusted(scratch.path + "/act");
    expect_untrusted(scratch.path + "/obj");
    expect_untrusted(std::filesystem::path(scratch.objects().at(0)).parent_path());
    expect_untrusted(std::filesystem::path(scratch.manifests().at(0)).parent_path());
    std::filesystem::permissions(scratch.directory.path(), std::filesystem::perms(0777));
    CHECK(store::DiskStore::open(scratch.path).error().code == ErrorCode::untrusted);
    const auto unmade = store::DiskStore::open(scratch.path + "2", {.min_free_bytes = 0}).value();
    CHECK(unmade->put(package).error().code == ErrorCode::untrusted);
    std::filesystem::permissions(scratch.directory.path(), std::filesystem::perms(01777));
    CHECK(store::DiskStore::open(scratch.path).has_value());
}

TEST_CASE("what belongs to another user is untrusted") {
    if (::geteuid() != 0) return;
    constexpr uid_t k_other = 12345;
    const Scratch scratch;
    const Package package = package_of("f", 1);
    const auto store = scratch.open();
    REQUIRE(store->put(package).has_value());
    for (const std::string& path :
         {scratch.path + "/act", scratch.path + "/obj", scratch.manifests().at(0), scratch.objects().at(0)}) {
        REQUIRE(::chown(path.c_str(), k_other, k_other) == 0);
        CHECK_FALSE(is_served(*store, package));
        const bool moved = !std::filesystem::exists(path);
        if (!moved) REQUIRE(::chown(path.c_str(), 0, 0) == 0);
        REQUIRE(store->put(package).has_value());
        CHECK(is_served(*store, package));
    }
    REQUIRE(::chown(scratch.path.c_str(), k_other, k_other) == 0);
    CHECK(store::DiskStore::open(scratch.path).error().code == ErrorCode::untrusted);
    CHECK(store->get(package.key).error().code == ErrorCode::untrusted);
    CHECK(store->put(package).error().code == ErrorCode::untrusted);
}

TEST_CASE("a directory that holds something else is not made a store, nor tidied up") {
    const Scratch scratch;
    std::filesystem::create_directories(scratch.path + "/act");
    testing::store(scratch.path + "/precious", bytes_of("data"));
    const auto store = scratch.open();
    CHECK(store->put(tiny_package()).error().code == ErrorCode::invalid_argument);
    REQUIRE(store->collect({.max_bytes = 0}).has_value());
    CHECK(scratch.files("").size() == 1);
    std::filesystem::remove_all(scratch.path);
    std::filesystem::create_directory(scratch.path);
    CHECK(store->put(tiny_package()).has_value());
}

TEST_CASE("a full disk fails a put with no_space, and what was stored stays served") {
    const Scratch scratch;
    std::filesystem::create_directory(scratch.path);
    if (::mount("none", scratch.path.c_str(), "tmpfs", 0, "size=256k,mode=0700") != 0) return;  // not root
    {
        const auto store = scratch.open();
        const Package kept = package_of("kept", 2, "kept");
        REQUIRE(store->put(kept).has_value());
        const auto refused = store->put(package_of("large", 60, "large"));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == ErrorCode::no_space);
        CHECK(scratch.files("tmp").empty());
        check_served(*store, kept);
        CHECK(store->check().value().problems.empty());
        // Objects that got their names before the disk was full are collected when they are old enough.
        for (const auto& path : scratch.objects()) {
            std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
        }
        REQUIRE(store->collect({}).has_value());
        REQUIRE(store->put(package_of("small", 2, "small")).has_value());
        check_served(*store, kept);

        REQUIRE(::mount("none", scratch.path.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=256k") == 0);
        CHECK(store->put(package_of("late", 2, "late")).error().code == ErrorCode::io);
        check_served(*store, kept);
        static_cast<void>(store->collect({.max_bytes = 0}));
        check_served(*store, kept);
    }
    CHECK(::umount2(scratch.path.c_str(), MNT_DETACH) == 0);
}

TEST_CASE("a user who may only read is served, and writes nothing") {
    if (::geteuid() != 0) return;
    const Scratch scratch;
    const Package package = package_of("f", 2);
    REQUIRE(scratch.open()->put(package).has_value());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path)) {
        if (entry.is_directory()) std::filesystem::permissions(entry.path(), std::filesystem::perms(0755));
    }
    std::filesystem::permissions(scratch.path, std::filesystem::perms(0755));
    std::filesystem::permissions(scratch.directory.path(), std::filesystem::perms(0755));
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (::setgid(12345) != 0 || ::setuid(12345) != 0) ::_exit(2);
        const auto store = store::DiskStore::open(scratch.path, {.min_free_bytes = 0});
        const bool ok = store && is_served(**store, package) && !(*store)->put(tiny_package()) && (*store)->check();
        ::_exit(ok ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    check_served(*scratch.open(), package);
}
