// What one process has going on with a remote: idle connections, the breaker, and a thread that uploads.
//
//   Session session(local, source, options);
//   Downloaded found = session.look_up(key);
//   session.upload(key, id);                                // at once; the thread does it
//   Joined joined = session.join(key, options, std::move(flight));      // of this host's leader: does another host lead?
//   bool gone = session.wait(5s);                           // all that was to be uploaded
//   session.close(5s);                                      // the thread has ended; what could not be uploaded is dropped
//
// Closing waits for uploads as long as they go on, but for an answer only as long as a lookup would.
//
// The thread is started when there is something to do. It reads what it uploads from the local store, so that what waits takes
// no memory. While the breaker is open it waits, too, and probes the remote when it may.
//
// The lease of a flight that has ended is given back behind the uploads that were waiting then, for who waits elsewhere looks
// for them on the remote; where they cannot be made, at once.
//
// A forked child has no such thread, and must not use its parent's connections: it makes a session of its own, and leaves the
// parent's as it is.
//
// Thread-safety: all functions may be called from many threads. Failure: counted; a lookup has refusals.
#pragma once

#include <coldframe/remote/breaker.hpp>
#include <coldframe/remote/download.hpp>
#include <coldframe/remote/tiered_options.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace coldframe::remote {

class Session {
   public:
    Session(std::shared_ptr<store::DiskStore> local, RemoteSource source, const TieredOptions& options);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    [[nodiscard]] int process() const { return process_; }
    [[nodiscard]] Downloaded look_up(const Digest& key);
    void upload(const Digest& key, const Digest& id);
    // Leader, with a flight for all hosts or, where the remote keeps no lease, the one of this host; or served.
    [[nodiscard]] store::Joined join(const Digest& key, const store::JoinOptions& options,
                                     std::unique_ptr<store::Flight> flight);
    // Whether it is all gone or given up. While the breaker is open, it has the remote probed at once; if that fails, and there
    // will be no other probe within the time, it does not wait for it.
    [[nodiscard]] bool wait(milliseconds at_most);
    void close(milliseconds at_most);

   private:
    struct Task {
        Digest key{};
        Listed variant;
        bool keep = false;                       // it is there and was used; else it is to be uploaded
        std::unique_ptr<store::Flight> lease{};  // or this is to be given back, and nothing else
    };
    // The way back for leases of flights, which may outlive the session.
    struct Door {
        std::mutex mutex;
        Session* session;
    };
    class SharedFlight;
    using Lock = std::unique_lock<std::mutex>;

    [[nodiscard]] std::unique_ptr<Remote> borrow();
    void give_back(std::unique_ptr<Remote> remote);
    [[nodiscard]] Limits lookup_limits();
    [[nodiscard]] Downloaded download(const Digest& key, std::set<Digest> known);
    [[nodiscard]] store::Joined join_hosts(const Digest& key, const store::JoinOptions& options);
    [[nodiscard]] bool judge_join(std::optional<ErrorCode> failure, SteadyTime begin);
    void end_lease(std::unique_ptr<store::Flight> lease);
    void judge(const Downloaded& result, SteadyTime begin);
    void judge_failure(ErrorCode code, SteadyTime begin);
    void add(Task task);
    void start();
    void work();
    // Until there is something to do; false: nothing will come any more.
    [[nodiscard]] bool wait_for_work(Lock& lock);
    void probe(Remote& remote);
    void run(Remote& remote, const Task& task);
    [[nodiscard]] std::deque<Task> take_leases();
    void drop_all(Lock& lock);
    void drop(std::size_t count);
    [[nodiscard]] Limits upload_limits() const;

    const int process_;
    const std::shared_ptr<store::DiskStore> local_;
    const RemoteSource source_;
    const TieredOptions options_;
    Breaker breaker_;
    Hurry hurry_;  // somebody waits for the thread to end

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Remote>> idle_;
    std::deque<Task> tasks_;
    std::set<Digest> damaged_;
    std::set<Digest> put_;  // variants that this process has to upload or has uploaded
    std::thread thread_;
    bool working_ = false;
    bool probe_wanted_ = false;
    bool uploads_refused_ = false;
    std::atomic<bool> leases_refused_ = false;
    const std::shared_ptr<Door> door_;
};

}  // namespace coldframe::remote
