// One regular file in memory, whatever its path: what is written to any path is the file's content, and what is read.
//
//   MemoryFs fs;
//   archive::write(package, "package.cfp", {.fs = &fs});
//   Bytes bytes = std::move(fs).bytes();
//
// Thread-safety: concurrent reads. Failure: none but running out of memory.
#pragma once

#include <coldframe/util/fs.hpp>

namespace coldframe {

class MemoryFs final : public Fs {
   public:
    MemoryFs() = default;
    explicit MemoryFs(Bytes bytes) : bytes_(std::move(bytes)) {}
    explicit MemoryFs(ByteView bytes) : bytes_(bytes.begin(), bytes.end()) {}

    [[nodiscard]] const Bytes& bytes() const& { return bytes_; }
    [[nodiscard]] Bytes bytes() && { return std::move(bytes_); }

    int open(const std::string& path, int flags, std::uint32_t permissions) override;
    int stat(int fd, FileInfo& info) override;
    std::int64_t read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) override;
    std::int64_t write_at(int fd, ByteView bytes, std::uint64_t offset) override;
    int sync(int) override { return 0; }
    int close(int) override { return 0; }
    int rename(const std::string&, const std::string&) override { return 0; }
    int unlink(const std::string&) override { return 0; }
    std::int64_t random(std::span<std::uint8_t> out) override;
    std::uint32_t effective_user() override { return k_owner; }
    std::string host_name() override { return "memory"; }

   private:
    static constexpr std::uint32_t k_owner = 1;

    Bytes bytes_;
};

}  // namespace coldframe
