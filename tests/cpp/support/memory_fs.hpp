// One regular file in memory, whatever its path: for tests that read many variants of a file. It cannot write.
#pragma once

#include <coldframe/util/fs.hpp>

#include <algorithm>
#include <cerrno>

namespace coldframe::testing {

class MemoryFs final : public Fs {
   public:
    explicit MemoryFs(ByteView bytes) : bytes_(bytes) {}

    int open(const std::string&, int, std::uint32_t) override { return 3; }
    int stat(int, FileInfo& info) override {
        info = {FileKind::regular, bytes_.size(), effective_user(), 0600};
        return 0;
    }
    std::int64_t read_at(int, std::span<std::uint8_t> out, std::uint64_t offset) override {
        if (offset >= bytes_.size()) return 0;
        const ByteView rest = bytes_.subspan(static_cast<std::size_t>(offset));
        const std::size_t count = std::min(rest.size(), out.size());
        std::copy_n(rest.begin(), count, out.begin());
        return static_cast<std::int64_t>(count);
    }
    std::int64_t write_at(int, ByteView, std::uint64_t) override { return -EROFS; }
    int sync(int) override { return -EROFS; }
    int close(int) override { return 0; }
    int rename(const std::string&, const std::string&) override { return -EROFS; }
    int unlink(const std::string&) override { return -EROFS; }
    std::int64_t random(std::span<std::uint8_t>) override { return -EROFS; }
    std::uint32_t effective_user() override { return 1000; }
    std::string host_name() override { return "host"; }

   private:
    ByteView bytes_;
};

}  // namespace coldframe::testing
