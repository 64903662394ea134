// Replies of Redis servers: what they are does not depend on the pieces in which they come. The first byte is the size of
// these.
#include <fuzz.hpp>

#include <coldframe/network/redis_reply.hpp>

#include <algorithm>

using namespace coldframe;
using namespace coldframe::remote;
using fuzz::require;

namespace {

constexpr Bounds k_bounds{.size = 4096, .items = 16};

Result<std::optional<RedisReply>> read(ByteView bytes, std::size_t piece) {
    ReplyReader reader("host:6379", k_bounds);
    while (!bytes.empty()) {
        const std::size_t size = std::min(piece, bytes.size());
        Result<std::optional<RedisReply>> reply = reader.feed(bytes.first(size));
        bytes = bytes.subspan(size);
        if (!reply) return reply;
        // Whatever else was sent would be taken for the next reply.
        if (*reply && !bytes.empty()) return fail(ErrorCode::corrupt, "more than one reply");
        if (*reply) return reply;
    }
    return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const ByteView bytes(data + 1, size - 1);
    const auto whole = read(bytes, bytes.size());
    const auto pieces = read(bytes, std::max<std::size_t>(data[0], 1));
    if (whole && *whole) {
        require((*whole)->bytes.size() <= k_bounds.size && (*whole)->list.size() <= k_bounds.items);
        require(pieces && *pieces && (*pieces)->has_value == (*whole)->has_value && (*pieces)->number == (*whole)->number &&
                (*pieces)->bytes == (*whole)->bytes && (*pieces)->list == (*whole)->list);
    }
    const bool is_refusal = !whole && whole.error().code != ErrorCode::corrupt;
    require(!is_refusal || !pieces);
    if (is_refusal || (whole && *whole)) fuzz::accept();
    return 0;
}
