#include <support/network_fs.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace coldframe::testing {

bool NetworkFs::chance(double probability) {
    const bool happens = std::uniform_real_distribution<>(0, 1)(random_) < probability;
    if (happens) ++lies_;
    return happens;
}

void NetworkFs::pass_time() {
    if (++calls_ % 1000 != 0) return;
    const auto is_over = [&](const auto& entry) { return entry.second.until <= calls_; };
    std::erase_if(names_, is_over);
    std::erase_if(attributes_, is_over);
    std::erase_if(listings_, is_over);
}

NetworkFs::Inode NetworkFs::inode_of(int fd) {
    FileInfo info;
    if (fd == k_by_path || real_.stat(fd, info) != 0) return {};
    return {info.device, info.inode};
}

bool NetworkFs::is_known_absent(const Name& name) {
    pass_time();
    const auto known = names_.find(name);
    return known != names_.end() && !known->second.info && known->second.until > calls_;
}

void NetworkFs::forget(const Name& name) {
    names_.erase(name);
    listings_.erase(name.directory);
}

void NetworkFs::forget(const Inode& inode) {
    attributes_.erase(inode);
    std::erase_if(names_, [&](const auto& entry) {
        const std::optional<FileInfo>& info = entry.second.info;
        return info && Inode{info->device, info->inode} == inode;
    });
}

int NetworkFs::stat(int fd, FileInfo& info) {
    const std::lock_guard lock(mutex_);
    pass_time();
    if (is_stale()) return -ESTALE;
    const Inode inode = inode_of(fd);
    if (const auto known = attributes_.find(inode); known != attributes_.end() && known->second.until > calls_) {
        info = known->second.info.value();
        return 0;
    }
    const int result = real_.stat(fd, info);
    if (result == 0) attributes_[inode] = {some_time(), info};
    return result;
}

std::int64_t NetworkFs::read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    pass_time();
    return is_stale() ? -ESTALE : real_.read_at(fd, out, offset);
}

std::int64_t NetworkFs::write_at(int fd, ByteView bytes, std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    pass_time();
    forget(inode_of(fd));
    return real_.write_at(fd, bytes, offset);
}

int NetworkFs::close(int fd) {
    const std::lock_guard lock(mutex_);
    if (const auto found = opened_.find(fd); found != opened_.end()) {
        const Opened closed = found->second;
        opened_.erase(found);
        const auto other = std::ranges::find_if(opened_, [&](const auto& entry) { return entry.second.name == closed.name; });
        if (closed.removed_from >= 0 && other != opened_.end()) {
            other->second.removed_from = closed.removed_from;
        } else if (closed.removed_from >= 0) {
            if (!chance(faults_.crash)) static_cast<void>(real_.unlink_at(closed.removed_from, closed.name.name));
            ::close(closed.removed_from);
        }
    }
    return real_.close(fd);
}

int NetworkFs::open_at(int directory, const std::string& name, int flags, std::uint32_t permissions) {
    const std::lock_guard lock(mutex_);
    const Name full = name_of(directory, name);
    const bool creates = (flags & O_CREAT) != 0;
    if (!creates && is_known_absent(full)) return -ENOENT;
    if (!creates && is_stale()) return -ESTALE;
    const int fd = real_.open_at(directory, name, flags, permissions);
    if (fd == -ENOENT) names_[full] = {some_time(), {}};
    if (fd < 0) return fd;
    const Inode inode = inode_of(fd);
    forget(inode);
    if (creates) forget(full);
    if ((flags & O_DIRECTORY) == 0) opened_[fd] = {full, inode};
    return fd;
}

int NetworkFs::stat_at(int directory, const std::string& name, FileInfo& info) {
    const std::lock_guard lock(mutex_);
    const Name full = name_of(directory, name);
    if (is_known_absent(full)) return -ENOENT;
    if (is_stale()) return -ESTALE;
    if (const auto known = names_.find(full); known != names_.end() && known->second.until > calls_) {
        info = known->second.info.value();
        return 0;
    }
    const int result = real_.stat_at(directory, name, info);
    if (result == 0) names_[full] = {some_time(), info};
    if (result == -ENOENT) names_[full] = {some_time(), {}};
    return result;
}

int NetworkFs::list(int directory, std::vector<std::string>& names) {
    const std::lock_guard lock(mutex_);
    pass_time();
    if (is_stale()) return -ESTALE;
    Listing& listing = listings_[inode_of(directory)];
    if (listing.until > calls_) {
        names = listing.names;
        return 0;
    }
    const int result = real_.list(directory, names);
    if (result == 0) listing = {some_time(), names};
    return result;
}

int NetworkFs::make_directory_at(int directory, const std::string& name, std::uint32_t permissions) {
    const std::lock_guard lock(mutex_);
    pass_time();
    const int result = real_.make_directory_at(directory, name, permissions);
    forget(name_of(directory, name));
    return result == 0 && chance(faults_.lost_reply) ? -EEXIST : result;
}

int NetworkFs::remove_directory_at(int directory, const std::string& name) {
    const std::lock_guard lock(mutex_);
    pass_time();
    if (chance(faults_.busy)) return -EBUSY;
    const int result = real_.remove_directory_at(directory, name);
    forget(name_of(directory, name));
    return result == 0 && chance(faults_.lost_reply) ? -ENOENT : result;
}

bool NetworkFs::keep_opened(int directory, const std::string& name) {
    const Name full = name_of(directory, name);
    const auto is_it = [&](const auto& entry) { return entry.second.name == full; };
    const auto found = std::ranges::find_if(opened_, is_it);
    FileInfo info;
    if (found == opened_.end() || real_.stat_at(directory, name, info) != 0) return false;
    if (found->second.inode != Inode{info.device, info.inode}) return false;
    std::array<char, 32> kept{};
    static_cast<void>(std::snprintf(kept.data(), kept.size(), ".nfs%012llx%08zx", static_cast<unsigned long long>(info.inode),
                                    (faults_.seed << 20) + ++kept_));
    if (real_.rename_at(directory, name, directory, kept.data(), Replace::no) != 0) return false;
    found->second.removed_from = ::dup(directory);
    for (auto& [fd, opened] : opened_) {
        if (opened.name == full) opened.name.name = kept.data();
    }
    return true;
}

int NetworkFs::rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                         Replace replace) {
    const std::lock_guard lock(mutex_);
    pass_time();
    if (replace == Replace::no && !faults_.can_rename_without_replacing) return -EINVAL;
    if (replace == Replace::yes) keep_opened(to_directory, to);
    const int result = real_.rename_at(from_directory, from, to_directory, to, replace);
    const Name before = name_of(from_directory, from), after = name_of(to_directory, to);
    auto known = names_.extract(before);
    forget(before);
    forget(after);
    if (result < 0) return result;
    if (known && known.mapped().info) names_[after] = known.mapped();  // its size and time are not asked for anew
    for (auto& [fd, opened] : opened_) {
        if (opened.name == before) opened.name = after;
    }
    return chance(faults_.lost_reply) ? (chance(0.5) ? -EIO : -ENOENT) : 0;
}

int NetworkFs::link_at(int from_directory, const std::string& from, int to_directory, const std::string& to) {
    const std::lock_guard lock(mutex_);
    pass_time();
    const int result = real_.link_at(from_directory, from, to_directory, to);
    forget(name_of(to_directory, to));
    return result == 0 && chance(faults_.lost_reply) ? (chance(0.5) ? -EIO : -EEXIST) : result;
}

int NetworkFs::unlink_at(int directory, const std::string& name) {
    const std::lock_guard lock(mutex_);
    pass_time();
    const int result = keep_opened(directory, name) ? 0 : real_.unlink_at(directory, name);
    forget(name_of(directory, name));
    return result == 0 && chance(faults_.lost_reply) ? -ENOENT : result;
}

int NetworkFs::touch(int fd) {
    const std::lock_guard lock(mutex_);
    pass_time();
    forget(inode_of(fd));
    return real_.touch(fd);
}

}  // namespace coldframe::testing
