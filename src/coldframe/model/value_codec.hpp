// Values and code objects as canonical bytes, and back.
//
// Deterministic CBOR; docs/format.md lists the tags of the kinds that CBOR lacks. Two values are equal exactly when their
// encodings are; decode() refuses every other spelling of a value, so encode(decode(x)) == x.
//
//   Result<Bytes> bytes = encode(value);
//   Result<Value> back = decode(*bytes);       // *back == value
//   Digest name = sha256(*bytes);
//
// Thread-safety: free functions without state. Failure: encode and make_set give invalid_argument for a Value that breaks the
// rules of value.hpp or nests too deeply; decode gives corrupt for bytes that are not a canonical encoding.
#pragma once

#include <coldframe/model/cbor.hpp>
#include <coldframe/model/code_object.hpp>
#include <coldframe/model/value.hpp>

namespace coldframe {

// Levels of a Value: 1 for a scalar, one more than its deepest item for a container, a code object or a Construct. Whoever
// builds Values from foreign objects must stop here too: copying and destroying a Value recurse.
inline constexpr unsigned k_max_value_depth = 256;

[[nodiscard]] Result<Bytes> encode(const Value& value);
[[nodiscard]] Result<Value> decode(ByteView bytes);

[[nodiscard]] Result<Bytes> encode_code(const CodeObject& code);  // as encode(Value(code))
[[nodiscard]] Result<CodePtr> decode_code(ByteView bytes, cbor::UnknownFields unknown = cbor::UnknownFields::reject);

// A set in canonical order, without duplicates; the only way to make one. invalid_argument if an item cannot be encoded.
[[nodiscard]] Result<Value> make_set(std::vector<Value> items, bool frozen);

// An int of any size from sign and big-endian magnitude: int64_t where that suffices, else BigInt without leading zeros.
[[nodiscard]] Value make_integer(bool negative, Bytes magnitude);

// For codecs of structures that contain values. `depth` is the number of levels already used.
enum class CodeDetail : std::uint8_t { full, semantic };
void write_value(cbor::Writer& writer, const Value& value, unsigned depth = 0, CodeDetail detail = CodeDetail::full);
void write_code(cbor::Writer& writer, const CodeFields& fields, unsigned depth, CodeDetail detail);
[[nodiscard]] Value read_value(cbor::Reader& reader, unsigned depth = 0);

}  // namespace coldframe
