#include <coldframe/remote/session.hpp>

namespace coldframe::remote {

using store::Counter;
using store::Joined;
using store::JoinOptions;
using store::Role;

// What the leader of all hosts holds: the flight of its own, and the lease.
class Session::SharedFlight final : public store::Flight {
   public:
    SharedFlight(std::unique_ptr<store::Flight> local, std::unique_ptr<store::Flight> lease, std::shared_ptr<Door> door)
        : local_(std::move(local)), lease_(std::move(lease)), door_(std::move(door)) {}

    ~SharedFlight() override {
        local_.reset();
        if (!lease_) return;
        const std::lock_guard lock(door_->mutex);
        if (door_->session != nullptr) door_->session->end_lease(std::move(lease_));
    }

    void forget() override {
        local_->forget();
        lease_->forget();
        lease_.reset();
    }

   private:
    std::unique_ptr<store::Flight> local_;
    std::unique_ptr<store::Flight> lease_;
    const std::shared_ptr<Door> door_;
};

// Behind the uploads that wait.
void Session::end_lease(std::unique_ptr<store::Flight> lease) {
    const Lock lock(mutex_);
    if (hurry_.started()) return;
    tasks_.push_back({.key = {}, .variant = {}, .keep = false, .lease = std::move(lease)});
    start();
    changed_.notify_all();
}

Joined Session::join(const Digest& key, const JoinOptions& options, std::unique_ptr<store::Flight> flight) {
    Joined joined = join_hosts(key, options);
    if (joined.role == Role::served) {
        local_->counters().add(Counter::remote_arrivals);
        return joined;
    }
    if (joined.role == Role::alone) return {.role = Role::leader, .flight = std::move(flight)};
    local_->counters().add(Counter::remote_leases);
    return {.role = Role::leader, .flight = std::make_unique<SharedFlight>(std::move(flight), std::move(joined.flight), door_)};
}

Joined Session::join_hosts(const Digest& key, const JoinOptions& options) {
    if (options_.access == store::Access::read_only) return {};
    const SteadyTime end = std::chrono::steady_clock::now() + options.wait;
    JoinOptions own = options;
    own.interrupted = [&] { return hurry_.started() || (options.interrupted && options.interrupted()); };
    const RemoteJoin how{.options = own,
                         .limits = [&] { return lookup_limits(); },
                         .judge = [&](std::optional<ErrorCode> code, SteadyTime begin) { return judge_join(code, begin); }};
    {
        const Lock lock(mutex_);
        own.known.insert(own.known.end(), put_.begin(), put_.end());
    }
    while (breaker_.closed() && !leases_refused_) {
        own.wait = std::max(std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now()), milliseconds(0));
        std::unique_ptr<Remote> remote = borrow();
        Joined joined = remote->join(key, how);
        give_back(std::move(remote));
        if (joined.role != Role::served) return joined;
        const Downloaded arrived = download(key, {own.known.begin(), own.known.end()});
        if (!arrived.served.empty()) return joined;
        // What cannot be used has not arrived.
        const std::size_t before = own.known.size();
        for (const store::Refusal& refusal : arrived.refusals) {
            if (const auto id = digest_from_hex(refusal.name)) own.known.push_back(*id);
        }
        if (own.known.size() == before) return {};
    }
    return {};
}

// Refusals of what leases need say nothing of lookups.
bool Session::judge_join(std::optional<ErrorCode> failure, SteadyTime begin) {
    if (!failure) {
        breaker_.succeeded();
        return true;
    }
    local_->counters().add(remote_counter(*failure));
    if (*failure == ErrorCode::untrusted || *failure == ErrorCode::unsupported) leases_refused_ = true;
    if (*failure != ErrorCode::timeout && *failure != ErrorCode::io) return false;
    const SteadyTime end = std::chrono::steady_clock::now();
    breaker_.failed(end - begin, end);
    const Lock lock(mutex_);
    changed_.notify_all();
    return breaker_.closed();
}

}  // namespace coldframe::remote
