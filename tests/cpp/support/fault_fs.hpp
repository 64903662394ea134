// The real file system, until the k-th call.
//
//   FaultFs fs({.at_call = 3, .error = ENOSPC});      // the third call fails, and so do all after it that write
//   archive::write(package, path, {.fs = &fs});
//   fs.calls();                                       // how many there were: try every k up to that
#pragma once

#include <coldframe/util/fs.hpp>

#include <unistd.h>

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
    bool exits = false;        // instead of failing, the call ends the process
};

inline constexpr int k_fault_exit = 77;

class FaultFs : public Fs {
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

    int open_at(int directory, const std::string& name, int flags, std::uint32_t permissions) override {
        if (const int error = enter("open_at")) return error;
        const int fd = real_.open_at(directory, name, flags, permissions);
        if (fd >= 0) ++open_;
        return fd;
    }
    int stat_at(int directory, const std::string& name, FileInfo& info) override {
        if (const int error = enter("stat_at")) return error;
        return real_.stat_at(directory, name, info);
    }
    int list(int directory, std::vector<std::string>& names) override {
        if (const int error = enter("list")) return error;
        return real_.list(directory, names);
    }
    int make_directory_at(int directory, const std::string& name, std::uint32_t permissions) override {
        if (const int error = enter("make_directory_at")) return error;
        return real_.make_directory_at(directory, name, permissions);
    }
    int remove_directory_at(int directory, const std::string& name) override {
        if (const int error = enter("remove_directory_at")) return error;
        return real_.remove_directory_at(directory, name);
    }
    int rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                  Replace replace) override {
        if (const int error = enter("rename_at")) return error;
        return real_.rename_at(from_directory, from, to_directory, to, replace);
    }
    int link_at(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
        if (const int error = enter("link_at")) return error;
        return real_.link_at(from_directory, from, to_directory, to);
    }
    int unlink_at(int directory, const std::string& name) override {
        if (const int error = enter("unlink_at")) return error;
        return real_.unlink_at(directory, name);
    }
    int touch(int fd) override {
        if (const int error = enter("touch")) return error;
        return real_.touch(fd);
    }
    int sync_all(int) override { return enter("sync_all"); }
    int space(int fd, FileSpace& space) override {
        if (const int error = enter("space")) return error;
        return real_.space(fd, space);
    }
    int try_lock(int fd) override {
        if (const int error = enter("try_lock")) return error;
        return real_.try_lock(fd);
    }

   private:
    int enter(const char* name, bool can_interrupt = true) {
        if (fault_.interrupt && can_interrupt && !interrupted_) {
            interrupted_ = true;
            return -EINTR;
        }
        interrupted_ = false;
        names_.emplace_back(name);
        const bool fails = fault_.only_once ? calls() == fault_.at_call : fault_.at_call != 0 && calls() >= fault_.at_call;
        if (fails && fault_.exits) ::_exit(k_fault_exit);
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
