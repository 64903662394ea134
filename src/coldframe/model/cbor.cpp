#include <coldframe/model/cbor.hpp>

namespace coldframe::cbor {
namespace {

constexpr std::uint8_t k_false = 20;
constexpr std::uint8_t k_true = 21;
constexpr std::uint8_t k_null = 22;
constexpr std::uint8_t k_float64 = 27;

std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

ByteView as_bytes(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

bool less(ByteView left, ByteView right) { return std::ranges::lexicographical_compare(left, right); }

// The smallest code point that needs a sequence of this many bytes.
constexpr std::uint32_t smallest_of(std::size_t length) { return length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000; }

std::size_t sequence_length(std::uint8_t lead) {
    if (lead >= 0xc2 && lead <= 0xdf) return 2;
    if (lead >= 0xe0 && lead <= 0xef) return 3;
    if (lead >= 0xf0 && lead <= 0xf4) return 4;
    return 0;
}

}  // namespace

Utf8 classify_utf8(std::string_view text) {
    const ByteView bytes = as_bytes(text);
    Utf8 result = Utf8::strict;
    std::size_t i = 0;
    while (i < bytes.size()) {
        if (bytes[i] < 0x80) {
            ++i;
            continue;
        }
        const std::size_t length = sequence_length(bytes[i]);
        if (length == 0 || length > bytes.size() - i) return Utf8::invalid;
        std::uint32_t code_point = bytes[i] & (0x7fu >> length);
        for (std::size_t k = 1; k < length; ++k) {
            if ((bytes[i + k] & 0xc0) != 0x80) return Utf8::invalid;
            code_point = code_point << 6 | (bytes[i + k] & 0x3fu);
        }
        if (code_point < smallest_of(length) || code_point > 0x10ffff) return Utf8::invalid;
        if (code_point >= 0xd800 && code_point <= 0xdfff) result = Utf8::surrogates;
        i += length;
    }
    return result;
}

// ---- Reader

void Reader::fail(ErrorCode code, std::string_view message) {
    if (error_) return;
    error_ = Error{code, std::string(message) + " at offset " + std::to_string(position()), {}};
}

Status Reader::finish() {
    if (ok() && bytes_.remaining() != 0) corrupt(std::to_string(bytes_.remaining()) + " bytes follow the end");
    if (error_) return std::unexpected(*error_);
    return {};
}

Head Reader::next() {
    if (!ok()) return {};
    if (++items_ > k_max_items) {
        corrupt("more than " + std::to_string(k_max_items) + " items");
        return {};
    }
    const std::uint8_t first = bytes_.u8();
    Head head{static_cast<Major>(first >> 5), static_cast<std::uint8_t>(first & 31), 0};
    if (head.info < 24) {
        head.argument = head.info;
    } else if (head.info <= 27) {
        const unsigned width = 1u << (head.info - 24);
        for (const std::uint8_t byte : bytes_.take(width)) head.argument = head.argument << 8 | byte;
        // The shortest head only; a float's bits are no number, and other simple values do not occur.
        const std::uint64_t smallest = width == 1 ? 24 : std::uint64_t{1} << (4 * width);
        if (head.major != Major::simple && head.argument < smallest) corrupt("a head that is not the shortest");
    } else {
        corrupt("an indefinite length or a reserved head");
    }
    if (!bytes_.ok()) corrupt("an item that is cut short");
    return ok() ? head : Head{};
}

std::uint64_t Reader::unsigned_int(std::uint64_t limit) {
    const Head head = next();
    if (ok() && (head.major != Major::unsigned_int || head.argument > limit)) corrupt("no unsigned integer in range");
    return ok() ? head.argument : 0;
}

std::int64_t Reader::integer() {
    const Head head = next();
    if (ok() && (head.major > Major::negative_int || head.argument >> 63 != 0)) corrupt("no integer of 64 bits");
    if (!ok()) return 0;
    const auto argument = static_cast<std::int64_t>(head.argument);
    return head.major == Major::unsigned_int ? argument : -1 - argument;
}

std::uint64_t Reader::float_bits() {
    const Head head = next();
    if (ok() && (head.major != Major::simple || head.info != k_float64)) corrupt("no float of 64 bits");
    return ok() ? head.argument : 0;
}

bool Reader::boolean() {
    const Head head = next();
    if (ok() && (head.major != Major::simple || (head.info != k_false && head.info != k_true))) corrupt("no bool");
    return ok() && head.info == k_true;
}

bool Reader::is_null() {
    if (!ok()) return false;
    ByteReader ahead = bytes_;
    if (ahead.u8() != 0xf6) return false;
    next();
    return ok();
}

ByteView Reader::body(const Head& head) {
    const ByteView view = bytes_.take(head.argument);
    if (!bytes_.ok()) corrupt("a string that is cut short");
    return view;
}

ByteView Reader::bytes() {
    const Head head = next();
    if (ok() && head.major != Major::bytes) corrupt("no byte string");
    return ok() ? body(head) : ByteView{};
}

Digest Reader::digest() {
    Digest digest{};
    const ByteView view = bytes();
    if (ok() && view.size() != digest.size()) corrupt("no digest of 32 bytes");
    if (ok()) std::ranges::copy(view, digest.begin());
    return digest;
}

std::string Reader::string() { return string_of(next()); }

std::string Reader::string_of(const Head& head) {
    if (!ok()) return {};
    if (head.major == Major::text) {
        const std::string_view text = as_text(body(head));
        if (ok() && classify_utf8(text) != Utf8::strict) corrupt("a text string that is not UTF-8");
        return std::string(text);
    }
    if (head.major != Major::tag || head.argument != k_surrogate_string_tag) {
        corrupt("no string");
        return {};
    }
    const std::string_view text = as_text(bytes());
    if (ok() && classify_utf8(text) != Utf8::surrogates) corrupt("a surrogate string that has none or is malformed");
    return std::string(text);
}

std::size_t Reader::array() {
    const Head head = next();
    if (ok() && head.major != Major::array) corrupt("no array");
    if (ok() && head.argument > bytes_.remaining()) corrupt("an array that is cut short");
    return ok() ? static_cast<std::size_t>(head.argument) : 0;
}

void Reader::array_of(std::size_t count) {
    if (array() != count && ok()) corrupt("no array of " + std::to_string(count));
}

std::size_t Reader::begin_map() {
    const Head head = next();
    if (ok() && head.major != Major::map) corrupt("no map");
    if (ok() && head.argument > bytes_.remaining() / 2) corrupt("a map that is cut short");
    return ok() ? static_cast<std::size_t>(head.argument) : 0;
}

void Reader::check_key_order(ByteView previous, ByteView key, bool first) {
    if (ok() && !first && !less(previous, key)) corrupt("map keys that repeat or are out of order");
}

std::uint64_t Reader::begin_fields(unsigned count) {
    const std::size_t present = begin_map();
    if (!ok()) return 0;
    if (present < count) corrupt("a structure that lacks fields");
    if (present > count && unknown_fields_ == UnknownFields::reject) corrupt("a structure with unknown fields");
    return ok() ? present - count : 0;
}

void Reader::end_fields(unsigned count, std::uint64_t extra) {
    std::uint64_t smallest = count;
    for (; ok() && extra > 0; --extra) {
        const std::uint64_t key = unsigned_int();
        if (ok() && key < smallest) corrupt("map keys that repeat or are out of order");
        smallest = key + 1;
        skip();
    }
}

void Reader::skip(unsigned depth) {
    if (depth > k_max_skipped_depth) corrupt("unknown fields that nest too deeply");
    const Head head = next();
    if (!ok()) return;
    switch (head.major) {
        case Major::unsigned_int:
        case Major::negative_int: return;
        case Major::bytes: body(head); return;
        case Major::text: static_cast<void>(string_of(head)); return;
        case Major::tag: skip(depth + 1); return;
        case Major::simple:
            if (head.info < k_false || (head.info > k_null && head.info != k_float64)) corrupt("an unknown simple value");
            return;
        case Major::array:
            for (std::uint64_t i = 0; ok() && i < head.argument; ++i) skip(depth + 1);
            return;
        case Major::map: {
            ByteView previous;
            for (std::uint64_t i = 0; ok() && i < head.argument; ++i) {
                const std::size_t start = position();
                skip(depth + 1);
                check_key_order(previous, since(start), i == 0);
                previous = since(start);
                skip(depth + 1);
            }
            return;
        }
    }
}

// ---- Writer

void Writer::fail(std::string_view message) {
    if (!error_) error_ = Error{ErrorCode::invalid_argument, std::string(message), {}};
}

Result<Bytes> Writer::finish() && {
    if (error_) return std::unexpected(std::move(*error_));
    return std::move(bytes_).finish();
}

void Writer::head(Major major, std::uint64_t argument) {
    const auto type = static_cast<std::uint8_t>(static_cast<unsigned>(major) << 5);
    if (argument < 24) {
        bytes_.u8(static_cast<std::uint8_t>(type | argument));
        return;
    }
    const unsigned log_width = argument <= 0xff ? 0 : argument <= 0xffff ? 1 : argument <= 0xffffffff ? 2 : 3;
    bytes_.u8(static_cast<std::uint8_t>(type | (24 + log_width)));
    for (unsigned i = 1u << log_width; i-- > 0;) bytes_.u8(static_cast<std::uint8_t>(argument >> (8 * i)));
}

void Writer::integer(std::int64_t value) {
    if (value >= 0) {
        unsigned_int(static_cast<std::uint64_t>(value));
    } else {
        negative_int(static_cast<std::uint64_t>(-1 - value));
    }
}

void Writer::float_bits(std::uint64_t bits) {
    bytes_.u8(0xfb);
    for (unsigned i = 8; i-- > 0;) bytes_.u8(static_cast<std::uint8_t>(bits >> (8 * i)));
}

void Writer::bytes(ByteView bytes) {
    head(Major::bytes, bytes.size());
    bytes_.raw(bytes);
}

void Writer::string(std::string_view text) {
    switch (classify_utf8(text)) {
        case Utf8::strict:
            head(Major::text, text.size());
            bytes_.raw(as_bytes(text));
            return;
        case Utf8::surrogates:
            tag(k_surrogate_string_tag);
            bytes(as_bytes(text));
            return;
        case Utf8::invalid: fail("a string that is not UTF-8, not even with surrogates"); return;
    }
}

Bytes Writer::encoded_key(std::string_view key) {
    Writer writer;
    writer.string(key);
    Result<Bytes> bytes = std::move(writer).finish();
    if (bytes) return std::move(*bytes);
    fail(bytes.error().message);
    return {};
}

}  // namespace coldframe::cbor
