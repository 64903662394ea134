#include <coldframe/util/elf.hpp>

#include <support/temporary_directory.hpp>

#include <doctest/doctest.h>

#include <dlfcn.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

using namespace coldframe;

namespace {

// The file of a library that this process uses, and a function in it.
std::string library_path() {
    void* zlib = ::dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(zlib != nullptr);
    Dl_info info{};
    REQUIRE(::dladdr(::dlsym(zlib, "zlibVersion"), &info) != 0);
    return info.dli_fname;
}

Bytes read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return {text.begin(), text.end()};
}

}  // namespace

TEST_CASE("a library without debug info is smaller, loads and runs") {
    const testing::TemporaryDirectory directory;
    const Bytes whole = read(library_path());
    const Bytes smaller = without_debug_info(whole);
    CHECK(smaller.size() < whole.size());
    CHECK(without_debug_info(smaller) == smaller);
    const std::string path = directory.file("smaller.so");
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(smaller.data()), std::ssize(smaller));
    void* loaded = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE_MESSAGE(loaded != nullptr, ::dlerror());
    const auto version = reinterpret_cast<const char* (*)()>(::dlsym(loaded, "zlibVersion"));
    REQUIRE((version != nullptr));
    CHECK(std::strlen(version()) > 0);
}

TEST_CASE("the directories of source files are masked, and nothing else") {
    const auto masked = [](std::string_view text) {
        Bytes bytes(text.begin(), text.end());
        mask_source_paths(bytes, {"/opt/torch", "/usr/include"});
        return std::string(bytes.begin(), bytes.end());
    };
    using namespace std::string_view_literals;
    CHECK(masked("\x3f/opt/torch/a/prefix.h\0/opt/torch/b.cpp\0"sv) == "\x3f............/prefix.h\0........../b.cpp\0"sv);
    CHECK(masked("at \"/opt/torch/b.cpp\":12, /usr/include/c++/12/array:3"sv) ==
          "at \"........../b.cpp\":12, .................../array:3"sv);
    CHECK(masked("/usr/include/a b/\xc3\xa4.hpp") == "................/\xc3\xa4.hpp");
    for (const std::string_view kept : {"/opt/torch/lib"sv, "/opt/torchvision/a.h"sv, "/usr/a.h"sv,
                                        "/opt/torch/lib/libc10.so"sv, "/opt/torch"sv, "/opt/torch/"sv, ""sv}) {
        CHECK(masked(kept) == kept);
    }
    Bytes code{'/', 'a', '/', 'b', '.', 'h', 0};
    const Bytes before = code;
    mask_source_paths(code, {"", "/", "/a"});
    CHECK(code == before);
    Bytes nothing;
    mask_source_paths(nothing, {"/opt"});
    CHECK(nothing.empty());
}

TEST_CASE("what is no shared library, or a part of one, stays as it is") {
    const Bytes whole = read(library_path());
    CHECK(without_debug_info({}).empty());
    const Bytes text{'n', 'o', 't', 'h', 'i', 'n', 'g'};
    CHECK(without_debug_info(text) == text);
    for (std::size_t size = 0; size < 2048; ++size) {
        const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(without_debug_info(part) == part);
    }
}

TEST_CASE("no damaged header is believed") {
    const Bytes whole = read(library_path());
    for (std::size_t bit = 0; bit < std::size_t{64} * 8; ++bit) {
        Bytes damaged = whole;
        damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        CHECK(without_debug_info(damaged).size() <= whole.size());
    }
}
