#include <support/simulated_fs.hpp>

#include <fcntl.h>

#include <algorithm>

namespace coldframe::testing {
namespace {

constexpr std::size_t k_sector = 512;

}  // namespace

SimulatedFs::SimulatedFs() { nodes_[1].directory = true; }

void SimulatedFs::apply(Nodes& nodes, const Change& change) {
    if (change.kind == Change::Kind::write) {
        Node& node = nodes[change.inode];
        const auto begin = static_cast<std::size_t>(change.offset);
        if (node.bytes.size() < begin + change.bytes.size()) node.bytes.resize(begin + change.bytes.size());
        std::ranges::copy(change.bytes, node.bytes.begin() + static_cast<std::ptrdiff_t>(begin));
        node.modified = change.modified;
    }
    if (change.kind != Change::Kind::name) return;
    nodes[change.inode].directory = true;
    if (change.from != 0) nodes[change.from].entries.erase(change.from_name);
    if (change.target == 0) {
        nodes[change.inode].entries.erase(change.name);
        return;
    }
    nodes[change.inode].entries[change.name] = change.target;
    Node& target = nodes[change.target];
    target.directory = change.directory;
    if (target.modified == 0) target.modified = change.modified;
}

// Some sectors of it, or its length with nothing in it.
void SimulatedFs::apply_torn(Nodes& nodes, Change change, std::mt19937& random) {
    if (random() % 2 == 0) {
        std::ranges::fill(change.bytes, std::uint8_t{0});
    } else {
        const std::size_t sectors = change.bytes.size() / k_sector;
        change.bytes.resize(sectors == 0 ? 0 : random() % (sectors + 1) * k_sector);
    }
    apply(nodes, change);
}

std::vector<bool> SimulatedFs::durable(std::size_t moment) const {
    std::vector<bool> durable(moment, false);
    for (std::size_t i = 0; i < moment; ++i) {
        const Change& sync = changes_[i];
        if (sync.kind != Change::Kind::sync && sync.kind != Change::Kind::sync_all) continue;
        for (std::size_t k = 0; k < i; ++k) {
            if (sync.kind == Change::Kind::sync_all || changes_[k].inode == sync.inode) durable[k] = true;
        }
    }
    return durable;
}

SimulatedFs SimulatedFs::crash(std::mt19937& random, std::size_t moment) const {
    SimulatedFs after;
    const std::vector<bool> kept = durable(moment);
    const auto survival = random() % 101;  // percent of what was not synced
    for (std::size_t i = 0; i < moment; ++i) {
        const Change& change = changes_[i];
        if (kept[i] || random() % 100 < survival) {
            apply(after.nodes_, change);
        } else if (change.kind == Change::Kind::write && random() % 2 == 0) {
            apply_torn(after.nodes_, change, random);
        }
    }
    after.next_inode_ = next_inode_;
    after.random_ = random_;
    after.clock_ = clock_;
    return after;
}

void SimulatedFs::record(Change change) {
    apply(nodes_, change);
    changes_.push_back(std::move(change));
}

SimulatedFs::Inode SimulatedFs::find(Inode directory, const std::string& name) const {
    const auto node = nodes_.find(directory);
    if (node == nodes_.end()) return 0;
    const auto entry = node->second.entries.find(name);
    return entry == node->second.entries.end() ? 0 : entry->second;
}

// The directory that `path` lies in, and its last part.
SimulatedFs::Inode SimulatedFs::resolve(int directory, const std::string& path, std::string& last) const {
    Inode inode = directory == k_by_path ? 1 : descriptors_.at(directory);
    std::size_t begin = path.starts_with('/') ? 1 : 0;
    for (std::size_t slash = path.find('/', begin); slash != std::string::npos; slash = path.find('/', begin)) {
        inode = find(inode, path.substr(begin, slash - begin));
        begin = slash + 1;
    }
    last = path.substr(begin);
    return inode;
}

int SimulatedFs::open_inode(Inode inode) {
    descriptors_[next_descriptor_] = inode;
    return next_descriptor_++;
}

int SimulatedFs::open(const std::string& path, int flags, std::uint32_t permissions) {
    return open_at(k_by_path, path, flags, permissions);
}

int SimulatedFs::open_at(int directory, const std::string& path, int flags, std::uint32_t) {
    std::string name;
    const Inode in = resolve(directory, path, name);
    Inode inode = name.empty() ? in : find(in, name);
    if (inode != 0 && (flags & O_EXCL) != 0) return -EEXIST;
    if (inode == 0) {
        if ((flags & O_CREAT) == 0 || in == 0) return -ENOENT;
        inode = next_inode_++;
        Change change;
        change.inode = in;
        change.name = name;
        change.target = inode;
        change.modified = clock_;
        record(std::move(change));
    }
    if ((flags & O_DIRECTORY) != 0 && !nodes_.at(inode).directory) return -ENOTDIR;
    return open_inode(inode);
}

void SimulatedFs::describe(Inode inode, FileInfo& info) const {
    const Node& node = nodes_.at(inode);
    info = {};
    info.kind = node.directory ? FileKind::directory : FileKind::regular;
    info.size = node.bytes.size();
    info.permissions = 0700;
    info.modified = node.modified;
    info.inode = inode;
}

int SimulatedFs::stat(int fd, FileInfo& info) {
    describe(descriptors_.at(fd), info);
    return 0;
}

int SimulatedFs::stat_at(int directory, const std::string& path, FileInfo& info) {
    std::string name;
    const Inode inode = find(resolve(directory, path, name), name);
    if (inode == 0) return -ENOENT;
    describe(inode, info);
    return 0;
}

std::int64_t SimulatedFs::read_at(int fd, std::span<std::uint8_t> out, std::uint64_t offset) {
    const Bytes& bytes = nodes_.at(descriptors_.at(fd)).bytes;
    if (offset >= bytes.size()) return 0;
    const ByteView rest = ByteView(bytes).subspan(static_cast<std::size_t>(offset));
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    return static_cast<std::int64_t>(count);
}

std::int64_t SimulatedFs::write_at(int fd, ByteView bytes, std::uint64_t offset) {
    Change change;
    change.kind = Change::Kind::write;
    change.inode = descriptors_.at(fd);
    change.offset = offset;
    change.bytes.assign(bytes.begin(), bytes.end());
    change.modified = clock_;
    record(std::move(change));
    return static_cast<std::int64_t>(bytes.size());
}

int SimulatedFs::sync(int fd) {
    Change change;
    change.kind = Change::Kind::sync;
    change.inode = descriptors_.at(fd);
    changes_.push_back(std::move(change));
    return 0;
}

int SimulatedFs::sync_all(int) {
    Change change;
    change.kind = Change::Kind::sync_all;
    changes_.push_back(std::move(change));
    return 0;
}

int SimulatedFs::close(int fd) {
    descriptors_.erase(fd);
    return 0;
}

std::int64_t SimulatedFs::random(std::span<std::uint8_t> out) {
    for (std::uint8_t& byte : out) {
        random_ = random_ * 6364136223846793005u + 1442695040888963407u;
        byte = static_cast<std::uint8_t>(random_ >> 56);
    }
    return static_cast<std::int64_t>(out.size());
}

int SimulatedFs::list(int directory, std::vector<std::string>& names) {
    names.clear();
    for (const auto& [name, inode] : nodes_.at(descriptors_.at(directory)).entries) names.push_back(name);
    return 0;
}

int SimulatedFs::make_directory_at(int directory, const std::string& path, std::uint32_t) {
    Change change;
    change.inode = resolve(directory, path, change.name);
    if (change.inode == 0) return -ENOENT;
    if (find(change.inode, change.name) != 0) return -EEXIST;
    change.target = next_inode_++;
    change.directory = true;
    change.modified = clock_;
    record(std::move(change));
    return 0;
}

int SimulatedFs::remove_directory_at(int directory, const std::string& path) {
    std::string name;
    const Inode inode = find(resolve(directory, path, name), name);
    if (inode == 0) return -ENOENT;
    if (!nodes_.at(inode).entries.empty()) return -ENOTEMPTY;
    return unlink_at(directory, path);
}

int SimulatedFs::unlink_at(int directory, const std::string& path) {
    Change change;
    change.inode = resolve(directory, path, change.name);
    if (find(change.inode, change.name) == 0) return -ENOENT;
    record(std::move(change));
    return 0;
}

int SimulatedFs::rename_at(int from_directory, const std::string& from, int to_directory, const std::string& to,
                           Replace replace) {
    Change change;
    change.from = resolve(from_directory, from, change.from_name);
    change.inode = resolve(to_directory, to, change.name);
    change.target = find(change.from, change.from_name);
    if (change.target == 0 || change.inode == 0) return -ENOENT;
    if (replace == Replace::no && find(change.inode, change.name) != 0) return -EEXIST;
    change.directory = nodes_.at(change.target).directory;
    record(std::move(change));
    return 0;
}

int SimulatedFs::touch(int fd) {
    nodes_.at(descriptors_.at(fd)).modified = clock_;  // times may be lost: nothing but eviction rests on them
    return 0;
}

int SimulatedFs::space(int, FileSpace& space) {
    space = {std::uint64_t{1} << 40, std::uint64_t{1} << 41};
    return 0;
}

}  // namespace coldframe::testing
