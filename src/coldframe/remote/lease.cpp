#include <coldframe/remote/lease.hpp>

#include <coldframe/remote/quiet_thread.hpp>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <random>

namespace coldframe::remote {
namespace {

using namespace std::chrono_literals;
using store::Joined;
using store::Role;

constexpr milliseconds k_shortest_beat = 50ms;
constexpr milliseconds k_longest_beat = 1s;
constexpr milliseconds k_farewell = 250ms;  // for giving it back
constexpr milliseconds k_first_pause = 10ms;
constexpr milliseconds k_longest_pause = 200ms;
constexpr milliseconds k_blur = 100ms;  // of the time that is left, from one look to the next

SteadyTime now() { return std::chrono::steady_clock::now(); }

std::string random_token() {
    std::random_device random;
    Digest digest{};
    for (std::uint8_t& byte : digest) byte = static_cast<std::uint8_t>(random());
    return to_hex(digest);
}

// A lease that this process has, and a thread that renews it as long as the process gets on with anything.
class Lease final : public store::Flight {
   public:
    Lease(std::unique_ptr<Leases> leases, std::string token, const store::JoinOptions& options)
        : held_(std::make_unique<Held>(std::move(leases), std::move(token), options)) {
        held_->heart = start_quietly([held = held_.get()] { held->keep(); });
    }

    // Waits no longer than `k_farewell`: then it expires by itself.
    ~Lease() override {
        if (held_ == nullptr) return;
        held_->end();
        held_->heart.join();
    }

    // The thread and the other end of the connection are the parent's.
    void forget() override { [[maybe_unused]] const Held* const left = held_.release(); }

   private:
    struct Held {
        Held(std::unique_ptr<Leases> its, std::string name, const store::JoinOptions& options)
            : leases(std::move(its)), token(std::move(name)), time(options.stalled), activity(options.idle) {}

        void keep() {
            const milliseconds beat = std::clamp(time / 5, k_shortest_beat, k_longest_beat);
            Limits limits{.patience = std::max(beat, 250ms), .hurry = &hurry};
            Result<bool> ours = true;
            std::unique_lock lock(mutex);
            while (!changed.wait_for(lock, beat, [&] { return ended; })) {
                if (activity.is_idle()) continue;
                lock.unlock();
                limits.end = now() + limits.patience;
                ours = leases->renew(token, time, limits);
                if (ours && !*ours) return;  // it has expired, and others have gone on
                lock.lock();
            }
            limits.end = SteadyTime::max();
            if (ours) ignore_failure(leases->give_back(token, limits));
        }

        void end() {
            hurry.start(k_farewell, now() + k_farewell, now());
            const std::lock_guard lock(mutex);
            ended = true;
            changed.notify_all();
        }

        const std::unique_ptr<Leases> leases;
        const std::string token;
        const milliseconds time;
        Activity activity;  // of the heart's thread
        Hurry hurry;
        std::mutex mutex;
        std::condition_variable changed;
        bool ended = false;
        std::thread heart;
    };
    std::unique_ptr<Held> held_;
};

// The wait of one host.
class LeaseWait {
   public:
    LeaseWait(std::unique_ptr<Leases> leases, const RemoteJoin& how)
        : leases_(std::move(leases)), how_(how), end_(now() + how.options.wait) {}

    Joined run() {
        for (milliseconds pause = k_first_pause;; pause = std::min(pause * 2, k_longest_pause)) {
            const Look look = look_once();
            if (look.mine) return look.arrived ? leave() : lead();
            if (look.arrived) return {.role = Role::served};
            if (look.over || now() >= end_) return {};
            if (how_.options.interrupted && how_.options.interrupted()) return {};
            std::this_thread::sleep_until(std::min(now() + pause, end_));
        }
    }

   private:
    struct Look {
        bool mine = false;
        bool arrived = false;
        bool over = false;  // there is nothing to wait for
    };

    template <typename Call>
    auto told(const Call& call) {
        const SteadyTime begin = now();
        auto result = call(how_.limits());
        given_up_ = !how_.judge(result ? std::nullopt : std::optional(result.error().code), begin);
        return result;
    }

    // The lease before the arrivals: what its holder uploaded was there before it was given back.
    Look look_once() {
        Look look;
        const auto state = told([&](const Limits& limits) { return leases_->take(token_, how_.options.stalled, limits); });
        if (!state) return {.over = given_up_};
        look.mine = state->holder == token_;
        look.over = !look.mine && has_ended(*state);
        const auto present = told([&](const Limits& limits) { return leases_->variants(limits); });
        look.over |= given_up_;
        look.arrived = present && std::ranges::any_of(*present, [&](const Digest& id) {
                           return std::ranges::find(how_.options.known, id) == how_.options.known.end();
                       });
        return look;
    }

    // Whether the holder that was watched has given the lease back, or does not renew it and it does not expire.
    bool has_ended(const LeaseState& state) {
        const SteadyTime seen = now();
        const bool same = state.holder == holder_;
        const bool had_time = !holder_.empty() && seen < expires_;
        if (!same && had_time && !state.inherited) return true;
        const SteadyTime expires = seen + std::clamp(state.left, milliseconds(0), milliseconds(24h));
        if (!same || expires > expires_ + k_blur) {
            holder_ = state.holder;
            expires_ = expires;
            renewed_ = seen;
        }
        return seen - renewed_ >= how_.options.stalled + k_longest_beat;
    }

    Joined lead() {
        return {.role = Role::leader, .flight = std::make_unique<Lease>(std::move(leases_), token_, how_.options)};
    }

    Joined leave() {
        ignore_failure(told([&](const Limits& limits) { return leases_->give_back(token_, limits); }));
        return {.role = Role::served};
    }

    std::unique_ptr<Leases> leases_;
    const RemoteJoin& how_;
    const SteadyTime end_;
    const std::string token_ = random_token();
    bool given_up_ = false;
    std::string holder_;  // that is watched
    SteadyTime expires_{};
    SteadyTime renewed_{};
};

}  // namespace

Joined join_by_lease(std::unique_ptr<Leases> leases, const RemoteJoin& how) { return LeaseWait(std::move(leases), how).run(); }

}  // namespace coldframe::remote
