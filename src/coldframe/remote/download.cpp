#include <coldframe/remote/download.hpp>

#include <coldframe/archive/detached.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>
#include <map>

namespace coldframe::remote {
namespace {

using namespace std::chrono_literals;
using store::Counter;

constexpr std::uint64_t k_total_rate = 5'000'000;  // bytes a second, after the first ten seconds

// What a package served from memory reads.
class HeldObjects final : public archive::ObjectSource {
   public:
    Result<Bytes> read(const archive::Entry& entry) const override {
        const auto held = held_.find(entry.stored_digest);
        if (held != held_.end()) return held->second;
        return fail(ErrorCode::not_found, "the object " + to_hex(entry.stored_digest) + " was not downloaded");
    }
    void hold(const Digest& digest, Bytes bytes) { held_[digest] = std::move(bytes); }

   private:
    std::map<Digest, Bytes> held_;
};

// Another try, by another variant, may still help.
bool is_about_content(const Error& error) {
    return error.code != ErrorCode::timeout && error.code != ErrorCode::io && error.code != ErrorCode::untrusted;
}

}  // namespace

Limits limits_for(Limits limits, std::uint64_t size) {
    const auto extra = std::chrono::seconds(std::min<std::uint64_t>(size / k_total_rate, 3600));
    limits.end = std::min(limits.end, std::chrono::steady_clock::now() + 10s + extra);
    return limits;
}

Counter remote_counter(ErrorCode code) {
    switch (code) {
        case ErrorCode::timeout: return Counter::remote_timeouts;
        case ErrorCode::untrusted: return Counter::remote_refused;
        case ErrorCode::not_found: return Counter::remote_incomplete;
        case ErrorCode::corrupt:
        case ErrorCode::unsupported: return Counter::remote_corrupt;
        default: return Counter::remote_failures;
    }
}

Listed listed_of(const Digest& id, std::uint64_t size, std::span<const archive::Entry> entries) {
    Listed listed{{id, size}, {}};
    std::set<Digest> seen;
    for (const archive::Entry& entry : entries) {
        if (!entry.is_detached() || !seen.insert(entry.stored_digest).second) continue;
        listed.objects.push_back({entry.stored_digest, entry.stored_size});
    }
    return listed;
}

// Objects as the local store asks for them. What failed once is not tried again.
class Download::Fetch final : public archive::ObjectSource {
   public:
    explicit Fetch(Download& download) : download_(download) {}

    Result<Bytes> read(const archive::Entry& entry) const override {
        if (error_) return std::unexpected(*error_);
        Result<Bytes> bytes = download_.get_object(entry);
        if (!bytes) error_ = bytes.error();
        return bytes;
    }
    [[nodiscard]] const std::optional<Error>& error() const { return error_; }

   private:
    Download& download_;
    mutable std::optional<Error> error_;
};

void Download::count(std::uint64_t bytes) {
    local_.counters().add(Counter::remote_bytes_read, bytes);
    if (options_.progress) options_.progress(bytes);
}

void Download::refuse(const std::string& name, Error error) {
    local_.counters().add(remote_counter(error.code));
    result_.refusals.push_back({name, std::move(error)});
}

Result<Bytes> Download::get_manifest(const Digest& key, const Listed& listed) {
    const Digest& id = listed.manifest.digest;
    Result<Bytes> bytes = remote_.get_manifest(key, listed.manifest, limits_for(options_.limits, listed.manifest.size));
    if (bytes) count(bytes->size());
    if (bytes && sha256(*bytes) != id) bytes = fail(ErrorCode::corrupt, "the manifest's bytes are not those of its name");
    if (!bytes && is_about_content(bytes.error())) result_.damaged.insert(id);
    return bytes;
}

Result<Bytes> Download::get_object(const archive::Entry& entry) {
    const Blob object{entry.stored_digest, entry.stored_size};
    Result<Bytes> bytes = remote_.get_object(object, limits_for(options_.limits, object.size));
    if (bytes) count(bytes->size());
    if (bytes && (bytes->size() != object.size || sha256(*bytes) != object.digest)) {
        bytes = fail(ErrorCode::corrupt, "the bytes of object " + to_hex(object.digest) + " are not those of its name");
    }
    if (!bytes && is_about_content(bytes.error())) result_.damaged.insert(object.digest);
    return bytes;
}

Status Download::take(const Digest& key, const Listed& listed) {
    COLDFRAME_TRY_ASSIGN(Bytes manifest, get_manifest(key, listed));
    const auto held = std::make_shared<HeldObjects>();
    COLDFRAME_TRY_ASSIGN(const auto reader, archive::open_detached(manifest, to_hex(listed.manifest.digest), held));
    COLDFRAME_TRY_ASSIGN(Package package, reader->package());
    if (store::key_digest(package) != key) return fail(ErrorCode::corrupt, "the variant belongs to another key");

    Fetch fetch(*this);
    const auto entries = reader->entries();
    const bool kept = !local_.read_only() && local_.put_variant(key, manifest, entries, fetch).has_value();
    if (kept) {
        ++result_.backfilled;
    } else {
        for (const archive::Entry& entry : entries) {
            if (!entry.is_detached()) continue;
            COLDFRAME_TRY_ASSIGN(Bytes bytes, fetch.read(entry));
            held->hold(entry.stored_digest, std::move(bytes));
        }
        result_.variants.push_back({listed.manifest.digest, std::move(package), reader, 0});
    }
    result_.served.push_back(listed_of(listed.manifest.digest, manifest.size(), entries));
    return {};
}

Downloaded Download::run(const Digest& key) {
    const Result<Record> record = remote_.get_record(key, limits_for(options_.limits, 0));
    if (!record) {
        refuse("record", record.error());
        return std::move(result_);
    }
    for (const Listed& listed : record->variants) {
        if (options_.known.contains(listed.manifest.digest)) continue;
        Status taken = take(key, listed);
        if (taken) continue;
        const bool go_on = is_about_content(taken.error());
        refuse(to_hex(listed.manifest.digest), std::move(taken.error()));
        if (!go_on) break;
    }
    return std::move(result_);
}

}  // namespace coldframe::remote
