// What the tests of the store share: packages with blobs apart, and a store in a directory of its own.
//
//   Scratch scratch;                                         // open() and the path of everything in it
//   auto store = scratch.open({.fs = &fs});
//   store->put(package_of("f", 3));                          // three kernels of 10,000 bytes that do not compress
#pragma once

#include <coldframe/store/disk_store.hpp>
#include <coldframe/store/layout.hpp>

#include <support/sample.hpp>
#include <support/temporary_directory.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace coldframe::testing {

// Bytes that zstd cannot make smaller, the same for the same seed.
inline Bytes noise(const std::string& seed, std::size_t size) {
    Bytes bytes;
    for (Digest state = digest_of(seed); bytes.size() < size; state = sha256(state)) {
        bytes.insert(bytes.end(), state.begin(), state.end());
    }
    bytes.resize(size);
    return bytes;
}

inline Package package_of(const std::string& qualname, std::size_t kernels, const std::string& seed = "kernel",
                          std::size_t kernel_size = 10000) {
    Package package = tiny_package();
    package.key.qualname = qualname;
    auto artifact = std::make_shared<Artifact>();
    artifact->backend_id = "graph_1";
    artifact->kind = "inductor_native";
    for (std::size_t i = 0; i < kernels; ++i) {
        const std::string name = seed + std::to_string(i);
        artifact->blobs.push_back(make_blob(name, noise(name, kernel_size)));
    }
    package.artifacts.push_back(artifact);
    package.producer = "coldframe " + seed;
    return package;
}

// How often to repeat what is random: $`variable` in the long run.
inline int repetitions(const char* variable, int usual) {
    const char* count = std::getenv(variable);
    return count == nullptr ? usual : std::atoi(count);
}

// In memory, where there is such a place: thousands of stores are made, and none has to survive.
inline std::filesystem::path fast_directory() {
    return ::access("/dev/shm", W_OK) == 0 ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
}

struct Scratch {
    TemporaryDirectory directory{fast_directory()};
    std::string path = directory.file("store");

    [[nodiscard]] std::unique_ptr<store::DiskStore> open(store::DiskOptions options = {}) const {
        options.min_free_bytes = 0;
        auto opened = store::DiskStore::open(path, options);
        REQUIRE_MESSAGE(opened.has_value(), opened.error().what());
        return std::move(*opened);
    }
    [[nodiscard]] std::vector<std::string> files(const std::string& below) const {
        std::vector<std::string> found;
        std::error_code absent;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/" + below, absent)) {
            if (!entry.is_directory() || entry.is_symlink()) found.push_back(entry.path().string());
        }
        std::ranges::sort(found);
        return found;
    }
    [[nodiscard]] std::vector<std::string> objects() const { return files(store::k_objects); }
    [[nodiscard]] std::vector<std::string> manifests() const { return files(store::k_manifests); }
};

// Everything in it, blobs included, is as it was put.
inline void check_served(store::Store& store, const Package& package) {
    const auto found = store.get(package.key);
    REQUIRE_MESSAGE(found.has_value(), found.error().what());
    CHECK(found->refusals.empty());
    REQUIRE(found->variants.size() == 1);
    check_equal(found->variants[0].package, package);
}

}  // namespace coldframe::testing
