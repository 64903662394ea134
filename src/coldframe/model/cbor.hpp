// Deterministic CBOR (RFC 8949, section 4.2.1), read strictly and written the only way there is.
//
// The reader takes nothing but what the writer would have written: shortest heads, definite lengths, floats of 64 bits,
// map keys in order. So encode(decode(x)) == x, and two equal values never differ in their digests. libcbor and its like accept
// any well-formed CBOR and drop how a head was written, so strictness would have needed a second pass over the bytes; this
// is smaller.
//
// Both classes remember their first failure: later calls do nothing and yield zeros, so code that reads a structure needs to
// ask only once, at its end.
//
//   cbor::Reader reader(bytes);
//   reader.fields(2, [&](unsigned field) { field == 0 ? name = reader.string() : size = reader.unsigned_int(); });
//   if (Status end = reader.finish(); !end) return std::unexpected(end.error());
//
// Thread-safety: one object serves one thread. Failure: reading gives corrupt (or unsupported, through fail()), writing gives
// invalid_argument.
#pragma once

#include <coldframe/util/byte_io.hpp>
#include <coldframe/util/digest.hpp>
#include <coldframe/util/error.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coldframe::cbor {

enum class Major : std::uint8_t { unsigned_int, negative_int, bytes, text, array, map, tag, simple };

struct Head {
    Major major = Major::simple;
    std::uint8_t info = 0;  // the low five bits of the first byte
    std::uint64_t argument = 0;
};

// What a reader does with map keys that its version does not know: files of a newer minor version may have some.
enum class UnknownFields : std::uint8_t { reject, skip };

// Items in one document: bounds what decoding may allocate for each byte read.
inline constexpr std::uint64_t k_max_items = std::uint64_t{1} << 22;
// Nesting of fields that are skipped because they are unknown.
inline constexpr unsigned k_max_skipped_depth = 1024;
// A string with lone surrogates: a byte string in generalised UTF-8 under this tag.
inline constexpr std::uint64_t k_surrogate_string_tag = 0xcf01;

// Strict UTF-8, or the generalised one that CPython's "surrogatepass" writes, or neither.
enum class Utf8 : std::uint8_t { strict, surrogates, invalid };
[[nodiscard]] Utf8 classify_utf8(std::string_view text);

class Reader {
   public:
    explicit Reader(ByteView bytes, UnknownFields unknown_fields = UnknownFields::reject)
        : bytes_(bytes), unknown_fields_(unknown_fields) {}

    [[nodiscard]] bool ok() const { return !error_.has_value(); }
    [[nodiscard]] UnknownFields unknown_fields() const { return unknown_fields_; }
    void fail(ErrorCode code, std::string_view message);
    void corrupt(std::string_view message) { fail(ErrorCode::corrupt, message); }
    // Nothing failed and nothing is left.
    [[nodiscard]] Status finish();

    [[nodiscard]] std::size_t position() const { return bytes_.position(); }
    [[nodiscard]] ByteView since(std::size_t start) const { return bytes_.since(start); }

    Head next();
    std::uint64_t unsigned_int(std::uint64_t limit = ~std::uint64_t{0});
    std::int64_t integer();
    std::uint64_t float_bits();
    bool boolean();
    bool is_null();  // takes a null if the next item is one
    ByteView bytes();
    Digest digest();
    std::string string();
    std::size_t array();               // the number of items; never more than bytes are left
    void array_of(std::size_t count);  // an array of exactly that many
    void skip() { skip(1); }

    // A map with the keys 0 .. count-1, in order, and under UnknownFields::skip any larger ones.
    template <typename Function>
    void fields(unsigned count, Function&& read_field) {
        std::uint64_t extra = begin_fields(count);
        for (unsigned field = 0; ok() && field < count; ++field) {
            if (unsigned_int() != field) corrupt("field " + std::to_string(field) + " is missing or out of order");
            if (ok()) read_field(field);
        }
        end_fields(count, extra);
    }
    // A map whose keys are strings, in the order of their encoding.
    template <typename Function>
    void string_map(Function&& read_value) {
        const std::size_t count = begin_map();
        ByteView previous;
        for (std::size_t i = 0; ok() && i < count; ++i) {
            const std::size_t start = position();
            std::string key = string();
            check_key_order(previous, since(start), i == 0);
            previous = since(start);
            if (ok()) read_value(std::move(key));
        }
    }
    // The bytes, as an item's body, of a head that next() has yielded.
    ByteView body(const Head& head);
    // The string of a text or tag head that next() has yielded.
    std::string string_of(const Head& head);

   private:
    std::uint64_t begin_fields(unsigned count);
    void end_fields(unsigned count, std::uint64_t extra);
    std::size_t begin_map();
    void check_key_order(ByteView previous, ByteView key, bool first);
    void skip(unsigned depth);

    ByteReader bytes_;
    UnknownFields unknown_fields_;
    std::uint64_t items_ = 0;
    std::optional<Error> error_;
};

class Writer {
   public:
    void fail(std::string_view message);
    [[nodiscard]] bool ok() const { return !error_.has_value(); }
    [[nodiscard]] Result<Bytes> finish() &&;

    [[nodiscard]] std::size_t position() const { return bytes_.size(); }
    [[nodiscard]] ByteView since(std::size_t start) const { return bytes_.view().subspan(start); }

    void unsigned_int(std::uint64_t value) { head(Major::unsigned_int, value); }
    void integer(std::int64_t value);
    void negative_int(std::uint64_t argument) { head(Major::negative_int, argument); }  // stands for -1 - argument
    void float_bits(std::uint64_t bits);
    void boolean(bool value) { bytes_.u8(value ? 0xf5 : 0xf4); }
    void null() { bytes_.u8(0xf6); }
    void bytes(ByteView bytes);
    void string(std::string_view text);
    void array(std::size_t count) { head(Major::array, count); }
    void map(std::size_t count) { head(Major::map, count); }
    void tag(std::uint64_t number) { head(Major::tag, number); }

    // A map with string keys; `write_value(key)` is called in the order of the encoded keys.
    template <typename Map, typename Function>
    void string_map(const Map& entries, Function&& write_value) {
        std::vector<std::pair<Bytes, const typename Map::value_type*>> order;
        for (const auto& entry : entries) order.emplace_back(encoded_key(entry.first), &entry);
        std::ranges::sort(order, {}, [](const auto& pair) -> const Bytes& { return pair.first; });
        map(order.size());
        for (const auto& [key, entry] : order) {
            bytes_.raw(key);
            write_value(entry->second);
        }
    }

   private:
    void head(Major major, std::uint64_t argument);
    [[nodiscard]] Bytes encoded_key(std::string_view key);

    ByteWriter bytes_;
    std::optional<Error> error_;
};

}  // namespace coldframe::cbor
