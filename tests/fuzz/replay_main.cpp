// Runs a fuzz target over files, and over mutations of them that are the same in every run: what keeps the targets alive where
// there is no libFuzzer. Of the files themselves each must be accepted; see fuzz.hpp.
//
//   value_fuzz [MUTATIONS] FILE-OR-DIRECTORY...
#include <fuzz.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using coldframe::Bytes;

std::vector<std::filesystem::path> files_under(const std::filesystem::path& path) {
    if (!std::filesystem::is_directory(path)) return {path};
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

Bytes load(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
        std::cerr << "cannot read " << path << '\n';
        std::exit(1);
    }
    return {std::istreambuf_iterator<char>(stream), {}};
}

Bytes mutated(Bytes bytes, std::mt19937_64& random) {
    static constexpr std::uint8_t k_telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x9b, 0xbb, 0xd9, 0xf6, 0x81};
    for (std::uint64_t changes = 1 + random() % 4; changes > 0 && !bytes.empty(); --changes) {
        const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(random() % bytes.size());
        switch (random() % 6) {
            case 0: *place = static_cast<std::uint8_t>(*place ^ (1u << (random() % 8))); break;
            case 1: *place = k_telling[random() % std::size(k_telling)]; break;
            case 2: *place = static_cast<std::uint8_t>(random()); break;
            case 3: bytes.insert(place, k_telling[random() % std::size(k_telling)]); break;
            case 4: bytes.erase(place); break;
            default:
                if (random() % 16 == 0) bytes.erase(place, bytes.end());
                break;
        }
    }
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    int first = 1;
    std::uint64_t mutations = 0;
    if (argc > 1 && std::string(argv[1]).find_first_not_of("0123456789") == std::string::npos) {
        mutations = std::stoull(argv[1]);
        first = 2;
    }
    std::uint64_t runs = 0;
    std::uint64_t refused = 0;
    for (int i = first; i < argc; ++i) {
        for (const std::filesystem::path& path : files_under(argv[i])) {
            const Bytes bytes = load(path);
            const std::uint64_t accepted = coldframe::fuzz::accepted;
            LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
            if (coldframe::fuzz::accepted == accepted && !path.filename().string().starts_with("refused")) {
                std::cerr << path << " is not accepted\n";
                ++refused;
            }
            std::mt19937_64 random(1);
            for (std::uint64_t k = 0; k < mutations; ++k) {
                const Bytes changed = mutated(bytes, random);
                LLVMFuzzerTestOneInput(changed.data(), changed.size());
            }
            runs += 1 + mutations;
        }
    }
    std::cout << runs << " inputs, of which " << coldframe::fuzz::accepted << " were accepted\n";
    return runs == 0 || refused != 0 ? 1 : 0;
}
