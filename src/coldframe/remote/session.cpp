#include <coldframe/remote/session.hpp>

#include <coldframe/remote/quiet_thread.hpp>
#include <coldframe/remote/upload.hpp>

#include <unistd.h>

namespace coldframe::remote {
namespace {

using store::Counter;

constexpr int k_upload_attempts = 3;
constexpr milliseconds k_upload_pause{300};

SteadyTime now() { return std::chrono::steady_clock::now(); }

SteadyTime after(milliseconds time) { return now() + time; }

// The remote does not work; else it works, but has not what it should have.
bool is_failure(ErrorCode code) { return code == ErrorCode::timeout || code == ErrorCode::io || code == ErrorCode::untrusted; }

// Nobody is there to catch what an upload throws: running out of memory.
Result<Uploaded> upload_contained(store::DiskStore& local, Remote& remote, const UploadRequest& request) {
    try {
        return upload(local, remote, request);
    } catch (const std::exception& exception) {
        return fail(ErrorCode::internal, exception.what());
    }
}

}  // namespace

Session::Session(std::shared_ptr<store::DiskStore> local, RemoteSource source, const TieredOptions& options)
    : process_(::getpid()),
      local_(std::move(local)),
      source_(std::move(source)),
      options_(options),
      breaker_(options.breaker),
      door_(std::make_shared<Door>()) {
    door_->session = this;
}

Session::~Session() {
    close(options_.exit_patience);
    const std::lock_guard lock(door_->mutex);
    door_->session = nullptr;
}

std::unique_ptr<Remote> Session::borrow() {
    {
        const Lock lock(mutex_);
        if (!idle_.empty()) {
            std::unique_ptr<Remote> remote = std::move(idle_.back());
            idle_.pop_back();
            return remote;
        }
    }
    return source_.connect();
}

void Session::give_back(std::unique_ptr<Remote> remote) {
    const Lock lock(mutex_);
    idle_.push_back(std::move(remote));
}

Downloaded Session::look_up(const Digest& key) {
    if (!breaker_.closed()) {
        local_->counters().add(Counter::remote_skipped);
        const Lock lock(mutex_);
        probe_wanted_ = true;
        start();
        changed_.notify_all();
        Downloaded nothing;
        nothing.refusals.push_back({"remote", {ErrorCode::io, "it has not worked lately, and is not asked for now", {}}});
        return nothing;
    }
    Downloaded result = download(key, {});
    local_->counters().add(result.served.empty() ? Counter::remote_misses : Counter::remote_hits);
    return result;
}

Limits Session::lookup_limits() {
    Limits limits;
    limits.connect = options_.connect;
    limits.patience = breaker_.patience(options_.patience, now());
    limits.slowest = options_.slowest;
    return limits;
}

Downloaded Session::download(const Digest& key, std::set<Digest> known) {
    const SteadyTime begin = now();
    std::unique_ptr<Remote> remote = borrow();
    const DownloadOptions options{.limits = lookup_limits(), .progress = {}, .known = std::move(known)};
    Downloaded result = Download(*remote, *local_, options).run(key);
    give_back(std::move(remote));
    judge(result, begin);
    const Lock lock(mutex_);
    damaged_.insert(result.damaged.begin(), result.damaged.end());
    if (options_.access == store::Access::read_only) return result;
    for (const Listed& variant : result.served) add({.key = key, .variant = variant, .keep = true});
    return result;
}

void Session::judge(const Downloaded& result, SteadyTime begin) {
    const bool failed =
        std::ranges::any_of(result.refusals, [](const store::Refusal& refusal) { return is_failure(refusal.error.code); });
    const SteadyTime end = now();
    if (failed) {
        breaker_.failed(end - begin, end);
        const Lock lock(mutex_);
        changed_.notify_all();
        return;
    }
    breaker_.succeeded();
    if (!result.refusals.empty() && result.served.empty()) breaker_.wasted(end - begin, end);
}

void Session::drop(std::size_t count) {
    if (count != 0) local_->counters().add(Counter::remote_uploads_dropped, count);
}

// With the mutex held.
void Session::add(Task task) {
    const bool uploads = !task.keep;
    if (hurry_.started() || tasks_.size() >= options_.max_waiting || (uploads && uploads_refused_)) {
        if (uploads) drop(1);
        return;
    }
    const bool waiting = std::ranges::any_of(tasks_, [&](const Task& other) {
        return !other.lease && other.keep == task.keep && other.key == task.key &&
               other.variant.manifest.digest == task.variant.manifest.digest;
    });
    if (waiting) return;
    tasks_.push_back(std::move(task));
    start();
    changed_.notify_all();
}

void Session::upload(const Digest& key, const Digest& id) {
    if (options_.access == store::Access::read_only) return;
    const Lock lock(mutex_);
    put_.insert(id);
    add({.key = key, .variant = {{id, 0}, {}}});
}

// With the mutex held.
void Session::start() {
    if (thread_.joinable() || hurry_.started()) return;
    thread_ = start_quietly([this] { work(); });
}

bool Session::wait_for_work(Lock& lock) {
    while (true) {
        const bool open = !breaker_.closed();
        if (hurry_.started() && (tasks_.empty() || open || now() >= hurry_.end.load())) return false;
        const bool wanted = !tasks_.empty() || probe_wanted_;
        if (wanted && (!open || now() >= breaker_.probe_time())) return true;
        if (std::ranges::any_of(tasks_, [](const Task& task) { return task.lease != nullptr; })) return true;
        if (wanted) {
            changed_.wait_until(lock, breaker_.probe_time());
        } else {
            changed_.wait(lock);
        }
    }
}

void Session::work() {
    std::unique_ptr<Remote> remote = source_.connect();
    Lock lock(mutex_);
    while (wait_for_work(lock)) {
        working_ = true;
        if (!breaker_.closed()) {
            std::deque<Task> leases = take_leases();  // what their flights have put will not arrive soon
            probe_wanted_ &= now() < breaker_.probe_time();
            lock.unlock();
            leases.clear();
            probe(*remote);
        } else if (tasks_.empty()) {
            probe_wanted_ = false;
            lock.unlock();
        } else {
            const Task task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            if (!task.lease) run(*remote, task);
        }
        lock.lock();
        working_ = false;
        changed_.notify_all();
    }
    drop_all(lock);
}

// With the mutex held.
std::deque<Session::Task> Session::take_leases() {
    std::deque<Task> leases;
    std::deque<Task> others;
    for (Task& task : tasks_) (task.lease ? leases : others).push_back(std::move(task));
    tasks_ = std::move(others);
    return leases;
}

void Session::drop_all(Lock& lock) {
    const std::deque<Task> leases = take_leases();
    drop(static_cast<std::size_t>(std::ranges::count(tasks_, false, &Task::keep)));
    tasks_.clear();
    changed_.notify_all();
    lock.unlock();  // giving them back takes a while
}

Limits Session::upload_limits() const {
    Limits limits;
    limits.connect = options_.connect;
    limits.patience = options_.upload_patience;
    limits.slowest = options_.slowest;
    limits.attempts = k_upload_attempts;
    limits.pause = k_upload_pause;
    limits.hurry = &hurry_;
    return limits;
}

// A key that no package has: any answer will do.
void Session::probe(Remote& remote) {
    if (!breaker_.wants_probe(now())) return;
    const Result<Record> record = remote.get_record(Digest{}, limits_for(upload_limits(), 0));
    if (!record && is_failure(record.error().code)) {
        breaker_.failed({}, now());
    } else {
        breaker_.succeeded();
    }
}

void Session::run(Remote& remote, const Task& task) {
    if (task.keep) {
        ignore_failure(remote.keep(task.key, task.variant, limits_for(upload_limits(), 0)));
        return;
    }
    UploadRequest request{
        .key = task.key, .id = task.variant.manifest.digest, .limits = upload_limits(), .damaged = {}, .progress = {}};
    {
        const Lock lock(mutex_);
        request.damaged = damaged_;
    }
    const SteadyTime begin = now();
    const Result<Uploaded> uploaded = upload_contained(*local_, remote, request);
    if (uploaded) {
        breaker_.succeeded();
        local_->counters().add(Counter::remote_uploads);
        const Lock lock(mutex_);
        for (const Digest& digest : request.damaged) damaged_.erase(digest);
        return;
    }
    local_->counters().add(Counter::remote_upload_failures);
    const ErrorCode code = uploaded.error().code;
    judge_failure(code, begin);
    if (code != ErrorCode::untrusted) return;
    // It may still be read. What these credentials may not write now they may not write later.
    const Lock lock(mutex_);
    uploads_refused_ = true;
}

// Nobody has waited for it, unless somebody waits for the end.
void Session::judge_failure(ErrorCode code, SteadyTime begin) {
    if (code != ErrorCode::timeout && code != ErrorCode::io) return;
    const SteadyTime end = now();
    const SteadyTime::duration waited = hurry_.started() ? end - std::max(begin, hurry_.begin.load()) : SteadyTime::duration{};
    breaker_.failed(waited, end);
}

bool Session::wait(milliseconds at_most) {
    const SteadyTime end = after(at_most);
    Lock lock(mutex_);
    const auto gone = [&] { return tasks_.empty() && !working_; };
    if (!tasks_.empty()) breaker_.hasten_probe(now());
    changed_.notify_all();
    const auto hopeless = [&] { return !tasks_.empty() && !breaker_.closed() && breaker_.probe_time() > end; };
    changed_.wait_until(lock, end, [&] { return gone() || hopeless(); });
    return gone();
}

void Session::close(milliseconds at_most) {
    std::thread thread;
    {
        const Lock lock(mutex_);
        if (!hurry_.started()) hurry_.start(breaker_.patience(options_.patience, now()), after(at_most), now());
        changed_.notify_all();
        thread = std::move(thread_);
    }
    if (thread.joinable()) thread.join();
}

}  // namespace coldframe::remote
