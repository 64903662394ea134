// The real file system, until the k-th call.
//
//   FaultFs fs({.at_call = 3, .error = ENOSPC});      // the third call fails, and so do all after it that write
//   archive::write(package, path, {.fs = &fs});
//   fs.calls();                                       // how many there were: try every k up to that
#pragma once

#include <coldframe/util/fs.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

namespace coldframe::testing {

struct Fault {
    std::size_t at_call = 0;   // from 1; 0: never
    int error = 0;             // errno of that call
    bool only_once = true;     // else every later call that is no cleanup fails too
    bool interrupt = false;    // every call is interrupted once before it works
    std::size_t transfer = 0;  // reads and writes move at most so many bytes; 0: all
};

class FaultFs final : public Fs {
   public:
    explicit FaultFs(Fault fault = {}) : fault_(fault) {}

    [[nodiscard]] std::size_t calls() const { return names_.size(); }
    [[nodiscard]] const std::string& name_of_call(std::size_t number) const { return names_.at(number - 1); }
    [[nodiscard]] int open_descriptors() const { return open_; }

    int open(const std::string& path, int flags, std::uint32_t permissions) override {
        if (const int error = enter("open")) return error;
        const int fd = real_.open(path, flags, permissions);
        if (fd >= 0) ++open_;
        return fd;
    }
    int stat(int fd, FileInfo& info) override {
        if (const int error = enter("stat")) return error;
        return real_.stat(fd, info);
    }
    std::int64_t read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) override {
        if (const int error = enter("read_at")) return error;
        return real_.read_at(fd, out.first(limited(out.size())), offset);
    }
    std::int64_t write_at(int fd, ByteView bytes, std::uint64_t offset) override {
        if (const int error = enter("write_at")) return error;
        return real_.write_at(fd, bytes.first(limited(bytes.size())), offset);
    }
    int sync(int) override { return enter("sync"); }  // what a power loss would do is not tested here
    int close(int fd) override {
        --open_;
        const int result = real_.close(fd);  // a failing close closes all the same
        if (const int error = enter("close", false)) return error;
        return result;
    }
    int rename(const std::string& from, const std::string& to) override {
        if (const int error = enter("rename")) return error;
        return real_.rename(from, to);
    }
    int unlink(const std::string& path) override { return real_.unlink(path); }
    std::int64_t random(std::span<std::uint8_t> out) override {
        if (const int error = enter("random")) return error;
        return real_.random(out.first(limited(out.size())));
    }
    std::uint32_t effective_user() override { return real_.effective_user(); }
    std::string host_name() override { return "host"; }

   private:
    int enter(const char* name, bool can_interrupt = true) {
        if (fault_.interrupt && can_interrupt && !interrupted_) {
            interrupted_ = true;
            return -EINTR;
        }
        interrupted_ = false;
        names_.emplace_back(name);
        const bool fails = fault_.only_once ? calls() == fault_.at_call : fault_.at_call != 0 && calls() >= fault_.at_call;
        return fails ? -fault_.error : 0;
    }
    [[nodiscard]] std::size_t limited(std::size_t size) const {
        return fault_.transfer == 0 ? size : std::min(size, fault_.transfer);
    }

    Fs& real_ = Fs::real();
    Fault fault_;
    std::vector<std::string> names_;
    bool interrupted_ = false;
    int open_ = 0;
};

}  // namespace coldframe::testing
