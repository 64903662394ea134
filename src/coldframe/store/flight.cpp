#include <coldframe/store/flight.hpp>

#include <coldframe/store/disk_state.hpp>
#include <coldframe/util/try.hpp>

#include <fcntl.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace coldframe::store {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto k_beat = 500ms;
constexpr auto k_first_pause = 10ms;
constexpr auto k_longest_pause = 100ms;
constexpr int k_generations = 16;
constexpr int k_lock_flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

std::string lock_name(const Digest& key, int generation) { return to_hex(key) + "." + std::to_string(generation); }

// A locked file, which a thread touches.
class FileFlight final : public Flight {
   public:
    // Nothing when another process has it. An error where there are no locks.
    [[nodiscard]] static Result<std::unique_ptr<Flight>> take(const Directory& locks, const std::string& name,
                                                              std::chrono::milliseconds idle);
    ~FileFlight() override;
    void forget() override;

   private:
    struct Held {
        Directory locks;
        std::string name;
        FileDescriptor file;
        Activity activity;  // of the heart's thread
        std::mutex mutex{};
        std::condition_variable_any ended{};
        std::jthread heart{};
    };
    explicit FileFlight(std::unique_ptr<Held> held);

    std::unique_ptr<Held> held_;
};

FileFlight::FileFlight(std::unique_ptr<Held> held) : held_(std::move(held)) {
    held_->heart = std::jthread([held = held_.get()](const std::stop_token& stop) {
        std::unique_lock lock(held->mutex);
        while (!held->ended.wait_for(lock, stop, k_beat, [&] { return stop.stop_requested(); })) {
            if (held->activity.is_idle()) continue;
            static_cast<void>(uninterrupted([&] { return held->locks.fs().touch(held->file.get()); }));
        }
    });
}

FileFlight::~FileFlight() {
    if (held_ == nullptr) return;
    held_->heart.request_stop();
    held_->heart.join();
    ignore_failure(held_->locks.remove(held_->name));
}

// The thread is not in this process, and what it waits by cannot be destroyed: that would wait for the thread.
void FileFlight::forget() {
    if (Held* const left = held_.release()) static_cast<void>(left->file.close());
}

Result<std::unique_ptr<Flight>> FileFlight::take(const Directory& locks, const std::string& name,
                                                 std::chrono::milliseconds idle) {
    Fs& fs = locks.fs();
    const int fd = uninterrupted([&] { return fs.open_at(locks.fd(), name, k_lock_flags, 0600); });
    if (fd < 0) return std::unexpected(errno_error(-fd, "open", locks.path_of(name)));
    FileDescriptor file(fs, fd);
    const int locked = uninterrupted([&] { return fs.try_lock(fd); });
    if (locked == -EWOULDBLOCK) return nullptr;
    if (locked < 0) return std::unexpected(errno_error(-locked, "lock", locks.path_of(name)));
    // Whoever held it until just now may have removed it: then another process may already hold a new one.
    FileInfo held;
    const int known = uninterrupted([&] { return fs.stat(fd, held); });
    const Result<FileInfo> present = locks.look_at(name);
    if (known < 0 || !present || present->inode != held.inode) return nullptr;
    COLDFRAME_TRY_ASSIGN(Directory directory, Directory::open(fs, locks.path()));
    return std::unique_ptr<Flight>(new FileFlight(std::unique_ptr<Held>(
        new Held{.locks = std::move(directory), .name = name, .file = std::move(file), .activity = Activity(idle)})));
}

// The wait of one process.
class Wait {
   public:
    Wait(DiskState& state, const Digest& key, const JoinOptions& options) : state_(state), key_(key), options_(options) {}

    Joined run() {
        const Result<Tree> tree = state_.prepared_tree();
        const Result<Directory> locks = tree ? tree->folder(k_locks, Make::yes) : std::unexpected(tree.error());
        if (!locks) return {};
        auto pause = std::chrono::milliseconds(k_first_pause);
        for (const auto end = steady_clock::now() + options_.wait;;) {
            const bool ended = has_ended(*locks);  // before looking, for what it published came before its end
            if (has_arrived(*tree)) return {.role = Role::served};
            if (ended || steady_clock::now() >= end) return {};
            Result<std::unique_ptr<Flight>> flight = FileFlight::take(*locks, lock_name(key_, generation_), options_.idle);
            if (!flight) return {};
            if (*flight && has_arrived(*tree)) return {.role = Role::served};
            if (*flight) return {.role = Role::leader, .flight = std::move(*flight)};
            if (options_.interrupted && options_.interrupted()) return {};
            std::this_thread::sleep_for(pause);
            pause = std::min(pause * 2, std::chrono::milliseconds(k_longest_pause));
        }
    }

   private:
    bool has_arrived(const Tree& tree) {
        const Result<Directory> directory = tree.key_directory(key_);
        const Result<std::vector<std::string>> names = directory ? directory->names() : std::unexpected(directory.error());
        return names && std::ranges::any_of(*names, [&](const std::string& name) {
                   const std::optional<Digest> id = parse_manifest_name(name);
                   return id && std::ranges::find(options_.known, *id) == options_.known.end();
               });
    }

    // Looks at the file that another process holds. Whether that process has let it go since it was first seen.
    bool has_ended(const Directory& locks) {
        const Result<FileInfo> info = locks.look_at(lock_name(key_, generation_));
        const auto now = steady_clock::now();
        if (!info) return watched_.has_value();
        if (watched_ && watched_->inode != info->inode) return true;
        if (!watched_ || watched_->modified != info->modified) {
            watched_ = *info;
            changed_ = now;
        } else if (now - changed_ >= options_.stalled) {
            watched_.reset();
            return ++generation_ == k_generations;
        }
        return false;
    }

    DiskState& state_;
    const Digest key_;
    const JoinOptions& options_;
    int generation_ = 0;
    std::optional<FileInfo> watched_;
    steady_clock::time_point changed_;
};

}  // namespace

Joined join_flight(DiskState& state, const Digest& key, const JoinOptions& options) {
    return state.read_only() ? Joined{} : Wait(state, key, options).run();
}

}  // namespace coldframe::store
