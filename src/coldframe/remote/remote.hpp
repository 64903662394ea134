// A remote tier: objects by their digest, and for each key which variants there are.
//
//   Remote          one connection to it: BlobRemote (blob_remote.hpp), RedisRemote, DirectoryRemote
//   RemoteSource    makes them, as many as threads and forked processes need
//
//   RemoteSource source = open_remote("https://cache.example.com/coldframe").value();      // open_remote.hpp
//   std::unique_ptr<Remote> remote = source.connect();                    // connects when it is first used
//   Result<Record> record = remote->get_record(key, limits);              // empty: there is nothing
//   Result<Bytes> manifest = remote->get_manifest(key, record->variants[0].manifest, limits);
//   Result<Bytes> object = remote->get_object(record->variants[0].objects[0], limits);
//
// Nothing that comes from a remote is verified here: download.hpp does that, before anything else sees it.
//
// Thread-safety: a Remote serves one thread, in the process that made it; RemoteSource::connect may be called from many.
// Failure: timeout; not_found (of an object or manifest); untrusted (the remote refuses these credentials, or leads elsewhere);
// no_space (it is full); corrupt (longer than it may be, or no record); io. Messages hold no secrets.
#pragma once

#include <coldframe/remote/limits.hpp>
#include <coldframe/remote/record.hpp>
#include <coldframe/store/flight.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace coldframe::remote {

enum class Overwrite : std::uint8_t { no, yes };  // yes: what is there is known to be damaged

// How a wait for another host deals with the remote.
struct RemoteJoin {
    const store::JoinOptions& options;
    std::function<Limits()> limits;  // of the next call
    // Told how each call went that began then; whether to make another one.
    std::function<bool(std::optional<ErrorCode> failure, SteadyTime begin)> judge;
};

class Remote {
   public:
    Remote() = default;
    Remote(const Remote&) = delete;
    Remote& operator=(const Remote&) = delete;
    virtual ~Remote() = default;

    [[nodiscard]] virtual Result<Record> get_record(const Digest& key, const Limits& limits) = 0;
    [[nodiscard]] virtual Result<Bytes> get_manifest(const Digest& key, const Blob& manifest, const Limits& limits) = 0;
    [[nodiscard]] virtual Result<Bytes> get_object(const Blob& object, const Limits& limits) = 0;
    [[nodiscard]] virtual Result<bool> has_object(const Blob& object, const Limits& limits) = 0;
    [[nodiscard]] virtual Status put_object(const Blob& object, ByteView bytes, Overwrite overwrite, const Limits& limits) = 0;
    // Makes the variant visible: its objects are there already.
    [[nodiscard]] virtual Status put_manifest(const Digest& key, const Listed& variant, ByteView bytes, Overwrite overwrite,
                                              const Limits& limits) = 0;
    // The variant was used: where what is unused expires, it lives on.
    [[nodiscard]] virtual Status keep(const Digest& /*key*/, const Listed& /*variant*/, const Limits& /*limits*/) { return {}; }
    // Single flight among hosts, as Store::join is among the processes of one. `served`: the record of the key names a variant
    // that is not known. `alone` also where that cannot be found out.
    [[nodiscard]] virtual store::Joined join(const Digest& /*key*/, const RemoteJoin& /*how*/) { return {}; }
    [[nodiscard]] virtual std::uint64_t max_object_size() const { return std::uint64_t{4} << 30; }
};

struct RemoteSource {
    std::string name;  // as the user gave it, without anything secret
    std::function<std::unique_ptr<Remote>()> connect;
};

}  // namespace coldframe::remote
