// The tags of the Value encoding, shared by its writer and its reader. Permanent; docs/format.md lists them.
//
// Kinds that CBOR has itself: None, bool, int, float, str, bytes; an array is a tuple. Order that does not matter is removed
// (sets are sorted by their encoded items), order that does is kept (a dict is an array of keys and values, not a map).
//
// Thread-safety: constants. Failure: none.
#pragma once

#include <coldframe/model/cbor.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace coldframe::value_codec {

enum class Tag : std::uint64_t {
    ellipsis = 0xcf00,
    surrogate_string = cbor::k_surrogate_string_tag,
    complex = 0xcf02,
    list = 0xcf03,
    dict = 0xcf04,
    set = 0xcf05,
    frozenset = 0xcf06,
    slice = 0xcf07,
    range = 0xcf08,
    code = 0xcf09,
    import_ref = 0xcf0a,
    construct = 0xcf0b,
};
inline constexpr std::uint64_t k_positive_bignum_tag = 2;  // RFC 8949, section 3.4.3
inline constexpr std::uint64_t k_negative_bignum_tag = 3;

inline constexpr unsigned k_code_fields = 18;
inline constexpr unsigned k_semantic_code_fields = 15;

// Whether two of these encoded items are equal. Sorts them.
inline bool has_repetition(std::vector<ByteView>& encoded) {
    const auto less = [](ByteView left, ByteView right) { return std::ranges::lexicographical_compare(left, right); };
    std::ranges::sort(encoded, less);
    const auto equal = [](ByteView left, ByteView right) { return std::ranges::equal(left, right); };
    return std::ranges::adjacent_find(encoded, equal) != encoded.end();
}

}  // namespace coldframe::value_codec
