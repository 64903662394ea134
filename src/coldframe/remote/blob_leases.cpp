#include <coldframe/remote/blob_leases.hpp>

#include <coldframe/util/try.hpp>

namespace coldframe::remote {
namespace {

constexpr std::uint64_t k_max_size = 4096;
constexpr const char* k_nobody = "coldframe lease 1\n";
constexpr const char* k_unknown = "?";  // of a blob that is damaged

SteadyTime now() { return std::chrono::steady_clock::now(); }

std::string text_of(const std::string& token, std::uint64_t renewals, bool inherited) {
    return k_nobody + token + " " + std::to_string(renewals) + (inherited ? " expired\n" : " free\n");
}

LeaseState parse(const Bytes& bytes) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!text.starts_with(k_nobody)) return {.holder = k_unknown};
    text.remove_prefix(std::string_view(k_nobody).size());
    return {.holder = std::string(text.substr(0, text.find(' '))), .inherited = text.ends_with(" expired\n")};
}

}  // namespace

Result<bool> BlobLeases::write(const std::string& text, const std::optional<Blobs::Content>& over, const Limits& limits) {
    const ByteView bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    const Blobs::Condition condition{.absent = !over, .version = over ? over->version : ""};
    Result<bool> written = blobs_->put(lease_, bytes, sha256(bytes), condition, limits);
    const bool conditional = blobs_->conditional() && (condition.absent || !condition.version.empty());
    if (written && !conditional) return fail(ErrorCode::unsupported, "the remote cannot write on conditions");
    return written;
}

Result<LeaseState> BlobLeases::take(const std::string& token, milliseconds time, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto content, blobs_->get(lease_, k_max_size, limits));
    LeaseState state = content ? parse(content->bytes) : LeaseState{};
    if (content && content->bytes != seen_) {
        seen_ = content->bytes;
        since_ = now();
    }
    const auto unchanged = std::chrono::duration_cast<milliseconds>(now() - since_);
    state.left = std::max(time - unchanged, milliseconds(0));
    const bool expired = !state.holder.empty() && state.left == milliseconds(0);
    if (state.holder == token || (!state.holder.empty() && !expired)) return state;
    COLDFRAME_TRY_ASSIGN(const bool written, write(text_of(token, 0, expired), content, limits));
    // Else somebody was faster, and the next look will show who.
    return written ? LeaseState{token, time, expired} : state;
}

Result<std::optional<Blobs::Content>> BlobLeases::own(const std::string& token, const Limits& limits) {
    auto content = blobs_->get(lease_, k_max_size, limits);
    if (content && *content && parse((*content)->bytes).holder != token) content->reset();
    return content;
}

Result<bool> BlobLeases::renew(const std::string& token, milliseconds, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto content, own(token, limits));
    if (!content) return false;
    const Result<bool> written = write(text_of(token, ++renewals_, parse(content->bytes).inherited), content, limits);
    if (!written || *written) return written;
    // Written twice, perhaps, as the first answer was lost.
    const auto present = own(token, limits);
    return present && present->has_value();
}

Status BlobLeases::give_back(const std::string& token, const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto content, own(token, limits));
    if (!content) return {};
    const Result<bool> written = write(k_nobody, content, limits);
    return written ? Status{} : std::unexpected(written.error());
}

Result<std::vector<Digest>> BlobLeases::variants(const Limits& limits) {
    COLDFRAME_TRY_ASSIGN(const auto content, blobs_->get(record_, k_max_record_size, limits));
    std::vector<Digest> ids;
    if (!content) return ids;
    COLDFRAME_TRY_ASSIGN(const Record record, decode_record(content->bytes));
    for (const Listed& listed : record.variants) ids.push_back(listed.manifest.digest);
    return ids;
}

}  // namespace coldframe::remote
