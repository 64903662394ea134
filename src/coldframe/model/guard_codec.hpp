// Guard programs as canonical bytes, and back.
//
// Source texts, explanations and type names lie once each in a table of strings; ops refer to them by number, and results
// are implied by order, so a program of two thousand ops decodes in a millisecond or two. docs/format.md has the layout.
//
//   Result<Bytes> bytes = encode_guards(program);
//   Result<GuardProgram> back = decode_guards(*bytes);
//
// Thread-safety: free functions without state. Failure: encode gives invalid_argument; decode gives corrupt, or unsupported
// for a guard kind of a newer minor version: a guard is never skipped.
#pragma once

#include <coldframe/model/cbor.hpp>
#include <coldframe/model/guard_program.hpp>

namespace coldframe {

[[nodiscard]] Result<Bytes> encode_guards(const GuardProgram& program);
[[nodiscard]] Result<GuardProgram> decode_guards(ByteView bytes, cbor::UnknownFields unknown = cbor::UnknownFields::reject);

}  // namespace coldframe
