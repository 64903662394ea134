// A thread that takes no signals: they stay with the threads that are there for them.
//
//   std::thread thread = start_quietly([this] { work(); });
//
// Thread-safety: free function. Failure: std::system_error when there can be no thread.
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace coldframe::remote {

template <typename Work>
[[nodiscard]] std::thread start_quietly(Work&& work) {
    struct Masked {
        sigset_t before{};
        Masked() {
            sigset_t all;
            sigfillset(&all);
            pthread_sigmask(SIG_SETMASK, &all, &before);
        }
        ~Masked() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
    };
    const Masked masked;
    return std::thread(std::forward<Work>(work));
}

}  // namespace coldframe::remote
