// Containers that share a store: processes of the same number and host name, each alone in a namespace of its own.
#include <store/support.hpp>
#include <support/fault_fs.hpp>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

constexpr pid_t k_first = 1;  // the number of the first process of each namespace
constexpr int k_not_permitted = 98;

int status_of(pid_t child) {
    int status = 0;
    if (::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

// A process that starts `body` as the first one of a new namespace, and ends with what that has yielded.
pid_t start_container(const std::function<int()>& body) {
    const pid_t outer = ::fork();
    REQUIRE(outer >= 0);
    if (outer != 0) return outer;
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(k_not_permitted);
    const pid_t inner = ::fork();
    if (inner != 0) ::_exit(inner < 0 ? k_not_permitted : status_of(inner));
    ::_exit(::getpid() == k_first ? body() : k_not_permitted);
}

bool permitted() {
    const bool can = status_of(start_container([] { return 0; })) == 0;
    if (!can) MESSAGE("namespaces are not permitted here: nothing is tested");
    return can;
}

const Package& package() {
    static const Package made = package_of("f", 2, "kernel", 5000);
    return made;
}

bool is_served(store::Store& store, const Package& expected) {
    const auto found = store.get(expected.key);
    if (!found || found->variants.size() != 1 || !found->refusals.empty()) return false;
    const auto& blobs = expected.artifacts[1]->blobs;
    for (std::size_t i = 0; i < blobs.size(); ++i) {
        const auto bytes = found->variants[0].package.artifacts.at(1)->blobs.at(i)->read();
        if (!bytes || *bytes != blobs[i]->read().value()) return false;
    }
    return true;
}

std::unique_ptr<store::DiskStore> open(const Scratch& scratch, Fs& fs) {
    return store::DiskStore::open(scratch.path, {.min_free_bytes = 0, .grace = std::chrono::seconds(0), .fs = &fs}).value();
}

// The real file system, which says when a manifest has been staged, and waits until it may have its name.
class PausingFs : public FaultFs {
   public:
    PausingFs(int staged, int go_on) : staged_(staged), go_on_(go_on) {}

    int rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                  Replace replace) override {
        char byte = 0;
        const bool waits = to.ends_with(".m");
        if (waits && (::write(staged_, &byte, 1) != 1 || ::read(go_on_, &byte, 1) != 1)) return -EIO;
        return FaultFs::rename_at(from_directory, from, to_directory, to, replace);
    }

   private:
    int staged_, go_on_;
};

}  // namespace

TEST_CASE("64 processes of the same number and host name that put and get at once do not meet") {
    if (!permitted()) return;
    const Scratch scratch;
    std::vector<Package> own;
    for (int i = 0; i < 8; ++i) own.push_back(package_of("g" + std::to_string(i), 1, "own" + std::to_string(i), 5000));
    static_cast<void>(package());
    std::vector<pid_t> containers;
    for (std::size_t i = 0; i < 64; ++i) {
        containers.push_back(start_container([&] {
            FaultFs fs;  // whose host name is the same for all
            const auto store = open(scratch, fs);
            const Package& other = own[i % own.size()];
            if (!store->put(package()) || !store->put(other)) return 1;
            return is_served(*store, package()) && is_served(*store, other) ? 0 : 2;
        }));
    }
    for (const pid_t container : containers) CHECK(status_of(container) == 0);
    const auto store = scratch.open();
    const auto report = store->check().value();
    for (const auto& problem : report.problems) FAIL_CHECK(problem.path, ": ", problem.error.what());
    CHECK(report.usage.variants == 1 + own.size());
    CHECK(store->statistics().value().counters[store::Counter::puts] == 128);
    CHECK(scratch.files("tmp").empty());
}

TEST_CASE("a collector leaves alone what a process of its own number is about to write") {
    if (!permitted()) return;
    const Scratch scratch;
    REQUIRE(scratch.open()->put(package_of("other", 1, "other")).has_value());
    static_cast<void>(package());
    int staged[2], go_on[2];
    REQUIRE(::pipe(staged) == 0);
    REQUIRE(::pipe(go_on) == 0);
    const pid_t writer = start_container([&] {
        PausingFs fs(staged[1], go_on[0]);
        const auto store = open(scratch, fs);
        return store->put(package()) && is_served(*store, package()) ? 0 : 1;
    });
    char byte = 0;
    REQUIRE(::read(staged[0], &byte, 1) == 1);
    const std::vector<std::string> before = scratch.files("tmp");
    CHECK(before.size() == 1);
    CHECK(before.at(0).find("/host-1-") != std::string::npos);
    const pid_t collector = start_container([&] {
        FaultFs fs;
        return open(scratch, fs)->collect() ? 0 : 1;
    });
    CHECK(status_of(collector) == 0);
    CHECK(scratch.files("tmp") == before);
    // Twice, for the collector has taken the objects, which no manifest named yet and for which there was no grace.
    REQUIRE(::write(go_on[1], "..", 2) == 2);
    CHECK(status_of(writer) == 0);
    CHECK(scratch.open()->check().value().problems.empty());
    for (const int fd : {staged[0], staged[1], go_on[0], go_on[1]}) ::close(fd);
}
