// What a remote keeps for a key: which variants there are, and which objects each needs.
//
// On the wire it is an ActionResult of Bazel's remote execution API, so that a server which knows that message checks that
// everything it names is there. Only these fields are written, and others are passed over when it is read:
//
//   2  output_files        path "<id>.m" and digest of each manifest; path "<id>/<object>" and digest of each object
//   5  stdout_raw          "coldframe record 1\n"
//   9  execution_metadata  worker "coldframe"
//
//   Record record = decode_record(bytes).value_or(Record{});
//   record.add({id, manifest_size, objects});                        // in front; at most 16 stay
//   Bytes message = encode_record(record);
//
// A record is not verified as a whole: it holds nothing but digests and sizes, and a server may encode it anew.
//
// Thread-safety: values. Failure: corrupt for what is no such message.
#pragma once

#include <coldframe/util/bytes.hpp>
#include <coldframe/util/digest.hpp>
#include <coldframe/util/error.hpp>

#include <cstdint>
#include <vector>

namespace coldframe::remote {

inline constexpr std::size_t k_max_variants = 16;
inline constexpr std::uint64_t k_max_record_size = std::uint64_t{16} << 20;

struct Blob {
    Digest digest{};
    std::uint64_t size = 0;
    bool operator==(const Blob&) const = default;
};

// A variant: its manifest and what it needs besides.
struct Listed {
    Blob manifest;
    std::vector<Blob> objects;
    bool operator==(const Listed&) const = default;
};

struct Record {
    std::vector<Listed> variants;  // the last written first

    // Whether that changed anything.
    bool add(const Listed& variant);
    bool operator==(const Record&) const = default;
};

[[nodiscard]] Bytes encode_record(const Record& record);
[[nodiscard]] Result<Record> decode_record(ByteView bytes);

}  // namespace coldframe::remote
