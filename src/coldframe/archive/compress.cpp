#include <coldframe/archive/compress.hpp>

#include <coldframe/util/try.hpp>

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <new>

namespace coldframe::archive {
namespace {

// Up to this many times the stored size, memory is taken at once; beyond, it doubles as bytes arrive.
constexpr std::uint64_t k_plausible_ratio = 64;
constexpr std::uint64_t k_smallest_buffer = std::uint64_t{64} << 10;

struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

ZSTD_CCtx* compressor() {
    thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
    if (context == nullptr) throw std::bad_alloc();
    return context.get();
}

ZSTD_DCtx* decompressor() {
    thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
    if (context == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
    return context.get();
}

Status check_frame(ByteView stored, std::uint64_t raw_size) {
    if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != raw_size) {
        return fail(ErrorCode::corrupt, "no zstd frame of " + std::to_string(raw_size) + " bytes");
    }
    if (ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) {
        return fail(ErrorCode::corrupt, "not exactly one zstd frame");
    }
    return {};
}

std::unexpected<Error> damaged(std::size_t code) {
    return fail(ErrorCode::corrupt, std::string("zstd: ") + ZSTD_getErrorName(code));
}

std::unexpected<Error> ends_early() { return fail(ErrorCode::corrupt, "a zstd frame that ends early"); }

std::unexpected<Error> of_another_size() { return fail(ErrorCode::corrupt, "a zstd frame of another size than recorded"); }

}  // namespace

Result<Bytes> compress(ByteView raw, int level) {
    Bytes packed(ZSTD_compressBound(raw.size()));
    const std::size_t size = ZSTD_compressCCtx(compressor(), packed.data(), packed.size(), raw.data(), raw.size(), level);
    if (ZSTD_isError(size)) {
        return fail(ErrorCode::internal, std::string("zstd cannot compress: ") + ZSTD_getErrorName(size));
    }
    packed.resize(size);
    return packed;
}

Result<Bytes> decompress(ByteView stored, std::uint64_t raw_size) {
    COLDFRAME_TRY(check_frame(stored, raw_size));
    ZSTD_DCtx* const context = decompressor();
    Bytes raw(static_cast<std::size_t>(std::min(raw_size, k_plausible_ratio * stored.size() + k_smallest_buffer)));
    ZSTD_inBuffer input{stored.data(), stored.size(), 0};
    ZSTD_outBuffer output{raw.data(), raw.size(), 0};
    for (;;) {
        const std::size_t consumed = input.pos;
        const std::size_t produced = output.pos;
        const std::size_t left = ZSTD_decompressStream(context, &output, &input);
        if (ZSTD_isError(left)) return damaged(left);
        if (left == 0) break;
        if (output.pos == output.size && output.size < raw_size) {
            raw.resize(static_cast<std::size_t>(std::min<std::uint64_t>(raw_size, 2 * output.size)));
            output = {raw.data(), raw.size(), output.pos};
        } else if (input.pos == consumed && output.pos == produced) {
            return ends_early();
        }
    }
    if (output.pos != raw_size) return of_another_size();
    return raw;
}

Result<Digest> digest_decompressed(ByteView stored, std::uint64_t raw_size) {
    COLDFRAME_TRY(check_frame(stored, raw_size));
    ZSTD_DCtx* const context = decompressor();
    Bytes buffer(ZSTD_DStreamOutSize());
    ZSTD_inBuffer input{stored.data(), stored.size(), 0};
    Sha256 digest;
    std::uint64_t size = 0;
    for (std::size_t left = 1; left != 0;) {
        const std::size_t consumed = input.pos;
        ZSTD_outBuffer output{buffer.data(), buffer.size(), 0};
        left = ZSTD_decompressStream(context, &output, &input);
        if (ZSTD_isError(left)) return damaged(left);
        if (left != 0 && output.pos == 0 && input.pos == consumed) return ends_early();
        digest.update(ByteView(buffer).first(output.pos));
        size += output.pos;
    }
    if (size != raw_size) return of_another_size();
    return digest.finish();
}

}  // namespace coldframe::archive
