// How a TieredStore deals with its remote.
//
//   TieredOptions options{.access = store::Access::read_only, .patience = 500ms};
//
// Thread-safety: values. Failure: none.
#pragma once

#include <coldframe/remote/breaker.hpp>
#include <coldframe/store/disk_store.hpp>

namespace coldframe::remote {

struct TieredOptions {
    store::Access access = store::Access::read_write;  // read_only: nothing is uploaded
    milliseconds connect{250};
    milliseconds patience{250};  // of a lookup, for each answer
    milliseconds upload_patience{2000};
    std::uint64_t slowest = 1'000'000;  // bytes a second that are put up with
    std::size_t max_waiting = 256;      // uploads; more are dropped
    milliseconds exit_patience{5000};   // for what waits when the store is closed
    BreakerOptions breaker = {};
};

}  // namespace coldframe::remote
