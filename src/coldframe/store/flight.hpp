// Single flight: of the processes that need the same package at the same time, one compiles it and the others wait.
//
//   Joined joined = store.join(key, {.known = ids_that_do_not_serve});
//   switch (joined.role) {
//       case Role::leader: compile, store.put(package); then destroy joined.flight
//       case Role::served: store.get(key): a variant has arrived that was not known
//       case Role::alone:  compile: nobody else does, or does not get done in time
//   }
//
// A leader holds a lock on a file, which ends with its process, and touches the file twice a second from a thread of its own,
// while its process, or one that it has started, uses the processor; a hung compiler does not.
// Who waits goes by his own clock: when the file does not change for `stalled`, its holder is stopped or hangs, and the next
// file of the same key is tried. A leader that ends its flight removes the file, so those who wait and find nothing new know
// that there is nothing to wait for. Nothing rests on this but how often the same is compiled.
//
// Thread-safety: a Flight belongs to one thread at a time. Failure: none; whatever does not work means Role::alone.
#pragma once

#include <coldframe/store/layout.hpp>
#include <coldframe/util/activity.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace coldframe::store {

enum class Role : std::uint8_t { leader, served, alone };

struct JoinOptions {
    std::vector<Digest> known{};             // variants of the key that are no use to the caller
    std::chrono::milliseconds wait{600000};  // at most
    std::chrono::milliseconds stalled{5000};
    std::chrono::milliseconds idle{30000};  // a leader without any progress for so long is taken to hang
    std::function<bool()> interrupted{};    // asked now and then: whether to stop waiting
};

// What a leader holds, until it is destroyed or its process ends.
class Flight {
   public:
    Flight() = default;
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;
    virtual ~Flight() = default;

    // In the child of a fork: the flight is its parent's alone.
    virtual void forget() = 0;
};

struct Joined {
    Role role = Role::alone;
    std::unique_ptr<Flight> flight{};  // of a leader
};

struct DiskState;
[[nodiscard]] Joined join_flight(DiskState& state, const Digest& key, const JoinOptions& options);

}  // namespace coldframe::store
