#include <coldframe/cli/remote_command.hpp>

#include <coldframe/cli/progress_bar.hpp>
#include <coldframe/cli/store_access.hpp>
#include <coldframe/cli/store_report.hpp>
#include <coldframe/cli/text.hpp>
#include <coldframe/network/open_network.hpp>
#include <coldframe/remote/download.hpp>
#include <coldframe/remote/upload.hpp>
#include <coldframe/util/try.hpp>

#include <ostream>
#include <set>

namespace coldframe::cli {
namespace {

using namespace std::chrono_literals;

// Somebody has asked for it and waits.
remote::Limits patient() {
    remote::Limits limits;
    limits.connect = 5s;
    limits.patience = 10s;
    limits.slowest = 50'000;
    limits.attempts = 3;
    limits.pause = 300ms;
    return limits;
}

void refuse(TransferReport& report, const Error& error, const std::string& what, std::ostream& err) {
    if (report.failed++ == 0) report.code = exit_code(error.code);
    err << to_string(error.code) << ": " << printable(what) << '\n' << "  " << printable(error.what()) << '\n';
}

Result<std::vector<store::Item>> items_of(store::DiskStore& store, const std::vector<std::string>& keys) {
    if (keys.empty()) return store.list();
    std::vector<store::Item> items;
    std::set<Digest> seen;
    for (const std::string& key : keys) {
        COLDFRAME_TRY_ASSIGN(const std::vector<store::Item> named, find_items(store, key));
        for (const store::Item& item : named) {
            if (seen.insert(item.id).second) items.push_back(item);
        }
    }
    return items;
}

// Keys in full may be unknown here; of the rest, those of the store's items.
Result<std::set<Digest>> keys_of(store::DiskStore& store, const std::vector<std::string>& texts) {
    std::set<Digest> keys;
    std::vector<std::string> known;
    for (const std::string& text : texts) {
        if (const auto digest = digest_from_hex(text)) {
            keys.insert(*digest);
        } else {
            known.push_back(text);
        }
    }
    if (known.empty() && !texts.empty()) return keys;
    COLDFRAME_TRY_ASSIGN(const std::vector<store::Item> items, items_of(store, known));
    for (const store::Item& item : items) keys.insert(item.key);
    return keys;
}

void print(const TransferReport& report, bool json, std::ostream& out) {
    (json ? print_transfer_json : print_transfer)(report, out);
}

}  // namespace

Result<ExitCode> push(const PushOptions& options, std::ostream& out, std::ostream& err) {
    COLDFRAME_TRY_ASSIGN(const remote::RemoteSource source, remote::open_remote(options.remote, &remote::open_network));
    const auto store = open_store(options, store::Access::read_only);
    if (!store) return std::unexpected(store.error());
    COLDFRAME_TRY_ASSIGN(const std::vector<store::Item> items, items_of(**store, options.keys));
    TransferReport report{.verb = "pushed", .remote = source.name};
    {
        std::uint64_t total = 0;
        for (const store::Item& item : items) total += item.size;
        ProgressBar bar(total, err);
        std::uint64_t begin = 0;
        const auto remote = source.connect();
        for (const store::Item& item : items) {
            remote::UploadRequest request{
                .key = item.key,
                .id = item.id,
                .limits = patient(),
                .damaged = {},
                .overwrite = options.force,
                .progress = [&, done = begin](std::uint64_t bytes) mutable { bar.update(done += bytes); }};
            const Result<remote::Uploaded> uploaded = remote::upload(**store, *remote, request);
            bar.update(begin += item.size);
            if (!uploaded) {
                refuse(report, uploaded.error(), to_hex(item.id), err);
                // Not once more for each of thousands.
                if (uploaded.error().code == ErrorCode::timeout || uploaded.error().code == ErrorCode::untrusted) break;
                continue;
            }
            ++report.variants;
            report.bytes += uploaded->bytes;
        }
    }
    print(report, options.json, out);
    return report.code;
}

Result<ExitCode> pull(const PullOptions& options, std::ostream& out, std::ostream& err) {
    COLDFRAME_TRY_ASSIGN(const remote::RemoteSource source, remote::open_remote(options.remote, &remote::open_network));
    const auto store = open_store(options, store::Access::read_write);
    if (!store) return std::unexpected(store.error());
    const Result<std::set<Digest>> keys = keys_of(**store, options.keys);
    if (!keys) return std::unexpected(keys.error());
    if (keys->empty()) {
        return fail(ErrorCode::invalid_argument,
                    "the store knows no keys yet, and a remote does not list its own: name those to pull, in full");
    }
    TransferReport report{.verb = "pulled", .remote = source.name};
    {
        ProgressBar bar(keys->size(), err, ProgressUnit::keys);
        std::uint64_t done = 0;
        const auto remote = source.connect();
        for (const Digest& key : *keys) {
            remote::DownloadOptions download{.limits = patient(),
                                             .progress = [&](std::uint64_t bytes) { report.bytes += bytes; }};
            const remote::Downloaded got = remote::Download(*remote, **store, std::move(download)).run(key);
            bar.update(++done);
            report.variants += got.backfilled;
            if (got.served.empty() && got.refusals.empty()) ++report.absent;
            for (const store::Refusal& refusal : got.refusals) refuse(report, refusal.error, refusal.name, err);
            // What the local store does not take is no use here.
            if (!got.variants.empty()) {
                refuse(report, {ErrorCode::no_space, "the store takes nothing: is the disk full?", {}}, to_hex(key), err);
            }
        }
    }
    ignore_failure((*store)->flush());
    print(report, options.json, out);
    return report.code;
}

}  // namespace coldframe::cli
