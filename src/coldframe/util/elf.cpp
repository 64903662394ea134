#include <coldframe/util/elf.hpp>

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

namespace coldframe {
namespace {

constexpr std::string_view k_source_suffixes[] = {".c", ".cc", ".cpp", ".cu",  ".cuh", ".cxx",
                                                  ".h", ".hh", ".hpp", ".hxx", ".inl", ".tcc"};

constexpr std::size_t k_min_directory = 4;  // bytes; less may be found in a library's code

template <typename T>
std::optional<T> read_at(ByteView bytes, std::uint64_t offset) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
}

// Where the last byte that is loaded into memory ends; sections behind it are only for tools.
std::optional<std::uint64_t> end_of_segments(ByteView library, const Elf64_Ehdr& header) {
    std::uint64_t end = sizeof(Elf64_Ehdr);
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
        const auto segment = read_at<Elf64_Phdr>(library, header.e_phoff + i * sizeof(Elf64_Phdr));
        if (!segment || segment->p_offset > library.size() || segment->p_filesz > library.size() - segment->p_offset) {
            return std::nullopt;
        }
        end = std::max(end, segment->p_offset + segment->p_filesz);
    }
    return std::max<std::uint64_t>(end, header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr));
}

// What does not name a source file may be needed as it is: the search path of the linker, for one.
bool names_source(std::string_view path) {
    if (path.find("/include/") != path.npos) return true;  // also headers without a suffix
    const std::string_view suffix = path.substr(std::min(path.rfind('.'), path.size()));
    return std::ranges::find(k_source_suffixes, suffix) != std::end(k_source_suffixes);
}

}  // namespace

Bytes without_debug_info(ByteView library) {
    Bytes bytes(library.begin(), library.end());
    auto header = read_at<Elf64_Ehdr>(library, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return bytes;
    const bool known = header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
                       header->e_type == ET_DYN && header->e_phnum != 0 && header->e_phentsize == sizeof(Elf64_Phdr) &&
                       header->e_phoff < library.size();
    const auto end = known ? end_of_segments(library, *header) : std::nullopt;
    if (!end || *end > library.size()) return bytes;
    header->e_shoff = 0;
    header->e_shnum = header->e_shstrndx = 0;
    bytes.resize(*end);
    std::memcpy(bytes.data(), &*header, sizeof(*header));
    return bytes;
}

void mask_source_paths(Bytes& library, const std::vector<std::string>& directories) {
    const std::string_view text(reinterpret_cast<const char*>(library.data()), library.size());
    for (const std::string& directory : directories) {
        if (directory.size() < k_min_directory) continue;
        const std::string start = directory + "/";
        for (std::size_t at = text.find(start); at != text.npos; at = text.find(start, at + 1)) {
            const auto is_end = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '"' || c == ':'; };
            const std::string_view path(text.begin() + at, std::find_if(text.begin() + at, text.end(), is_end));
            if (names_source(path)) std::fill_n(library.begin() + std::ptrdiff_t(at), path.rfind('/'), '.');
        }
    }
}

}  // namespace coldframe
