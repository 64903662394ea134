#include <coldframe/util/memory_fs.hpp>

#include <fcntl.h>

#include <algorithm>

namespace coldframe {
namespace {

constexpr int k_descriptor = 3;

}  // namespace

int MemoryFs::open(const std::string&, int flags, std::uint32_t) {
    if ((flags & O_CREAT) != 0) bytes_.clear();
    return k_descriptor;
}

int MemoryFs::stat(int, FileInfo& info) {
    info = {};
    info.kind = FileKind::regular;
    info.size = bytes_.size();
    info.owner = k_owner;
    info.permissions = 0600;
    return 0;
}

std::int64_t MemoryFs::read_at(int, std::span<std::uint8_t> out, std::uint64_t offset) {
    if (offset >= bytes_.size()) return 0;
    const ByteView rest = ByteView(bytes_).subspan(static_cast<std::size_t>(offset));
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    return static_cast<std::int64_t>(count);
}

std::int64_t MemoryFs::write_at(int, ByteView bytes, std::uint64_t offset) {
    const std::size_t begin = static_cast<std::size_t>(offset);
    if (bytes_.size() < begin + bytes.size()) bytes_.resize(begin + bytes.size());
    std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(begin));
    return static_cast<std::int64_t>(bytes.size());
}

std::int64_t MemoryFs::random(std::span<std::uint8_t> out) {
    std::ranges::fill(out, std::uint8_t{0});  // names need not be unique where there is one file
    return static_cast<std::int64_t>(out.size());
}

}  // namespace coldframe
