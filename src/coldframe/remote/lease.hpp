// Single flight among hosts, where a server keeps a lease for each key: one host has it and renews it, the others look now and
// then whether what it compiles has arrived.
//
//   Leases          the lease of one key on one server: RedisLeases (redis_leases.hpp), BlobLeases (blob_leases.hpp)
//   Joined joined = join_by_lease(std::make_unique<RedisLeases>(...), how);
//   switch (joined.role) {
//       case Role::leader: it is held until joined.flight is destroyed, which is after what was compiled is on the remote
//       case Role::served: the record names a variant that is not known
//       case Role::alone:  no host is waited for any longer
//   }
//
// A lease names its holder by a random token, and expires `stalled` after it was renewed last. Who waits and finds it gone
// without an arrival goes on alone if it had time left, for then it was given back; else its holder has died or is stopped, and
// whoever takes it leads. One that nobody renews and that does not expire, by the clock of who waits, is not waited for.
//
// Thread-safety: Leases serve one thread at a time. Failure: of a call, what remote.hpp says, told to `how.judge`; a lease that
// cannot be given back expires.
#pragma once

#include <coldframe/remote/remote.hpp>

namespace coldframe::remote {

struct LeaseState {
    std::string holder;  // its token; empty: nobody
    milliseconds left{0};
    bool inherited = false;  // from one that had let it expire
};

class Leases {
   public:
    Leases() = default;
    Leases(const Leases&) = delete;
    Leases& operator=(const Leases&) = delete;
    virtual ~Leases() = default;

    // Takes it if it is free. Who has it then.
    [[nodiscard]] virtual Result<LeaseState> take(const std::string& token, milliseconds time, const Limits& limits) = 0;
    // False: it is somebody else's, or nobody's.
    [[nodiscard]] virtual Result<bool> renew(const std::string& token, milliseconds time, const Limits& limits) = 0;
    // Whoever else has it keeps it.
    [[nodiscard]] virtual Status give_back(const std::string& token, const Limits& limits) = 0;
    // Which variants the key has by now.
    [[nodiscard]] virtual Result<std::vector<Digest>> variants(const Limits& limits) = 0;
};

[[nodiscard]] store::Joined join_by_lease(std::unique_ptr<Leases> leases, const RemoteJoin& how);

}  // namespace coldframe::remote
