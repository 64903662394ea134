// Bounds-checked reading and writing of little-endian bytes.
//
//   ByteReader reader(view);
//   std::uint32_t count = reader.u32();
//   ByteView name = reader.take(count);      // a view, no copy
//   if (!reader.ok()) ...                    // some read went past the end; everything since yielded zeros
//
// Thread-safety: one object serves one thread. Failure: a ByteReader remembers that it failed; a ByteWriter cannot fail.
#pragma once

#include <coldframe/util/bytes.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace coldframe {

class ByteReader {
   public:
    explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::size_t position() const { return position_; }
    [[nodiscard]] std::size_t remaining() const { return bytes_.size() - position_; }

    // The next `count` bytes; an empty view, and failure, when there are fewer.
    ByteView take(std::uint64_t count) {
        if (!ok_ || count > remaining()) {
            ok_ = false;
            return {};
        }
        const ByteView view = bytes_.subspan(position_, static_cast<std::size_t>(count));
        position_ += static_cast<std::size_t>(count);
        return view;
    }
    // The bytes between an earlier position and this one.
    [[nodiscard]] ByteView since(std::size_t start) const { return bytes_.subspan(start, position_ - start); }

    std::uint8_t u8() { return static_cast<std::uint8_t>(little_endian(1)); }
    std::uint16_t u16() { return static_cast<std::uint16_t>(little_endian(2)); }
    std::uint32_t u32() { return static_cast<std::uint32_t>(little_endian(4)); }
    std::uint64_t u64() { return little_endian(8); }

   private:
    std::uint64_t little_endian(unsigned width) {
        std::uint64_t value = 0;
        unsigned shift = 0;
        for (const std::uint8_t byte : take(width)) {
            value |= std::uint64_t{byte} << shift;
            shift += 8;
        }
        return value;
    }

    ByteView bytes_;
    std::size_t position_ = 0;
    bool ok_ = true;
};

class ByteWriter {
   public:
    void raw(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    void zeros(std::size_t count) { bytes_.insert(bytes_.end(), count, 0); }
    void u8(std::uint8_t value) { bytes_.push_back(value); }
    void u16(std::uint16_t value) { little_endian(value, 2); }
    void u32(std::uint32_t value) { little_endian(value, 4); }
    void u64(std::uint64_t value) { little_endian(value, 8); }

    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] ByteView view() const { return bytes_; }
    [[nodiscard]] Bytes finish() && { return std::move(bytes_); }

   private:
    void little_endian(std::uint64_t value, unsigned width) {
        for (unsigned i = 0; i < width; ++i) bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    }

    Bytes bytes_;
};

}  // namespace coldframe
