#include <coldframe/util/byte_io.hpp>

#include <doctest/doctest.h>

using namespace coldframe;

TEST_CASE("what a ByteWriter wrote a ByteReader reads, little-endian") {
    ByteWriter writer;
    writer.u8(1);
    writer.u16(0x0203);
    writer.u32(0x04050607);
    writer.u64(0x08090a0b0c0d0e0f);
    writer.zeros(2);
    writer.raw(Bytes{9, 8});
    const Bytes bytes = std::move(writer).finish();
    CHECK(bytes[1] == 0x03);
    CHECK(bytes[3] == 0x07);

    ByteReader reader(bytes);
    CHECK(reader.u8() == 1);
    CHECK(reader.u16() == 0x0203);
    CHECK(reader.u32() == 0x04050607);
    CHECK(reader.u64() == 0x08090a0b0c0d0e0f);
    CHECK(reader.u16() == 0);
    const std::size_t start = reader.position();
    CHECK(reader.take(2).size() == 2);
    CHECK(reader.since(start)[0] == 9);
    CHECK(reader.ok());
    CHECK(reader.remaining() == 0);
}

TEST_CASE("a read past the end fails, moves nothing, and everything after it yields zeros") {
    const Bytes bytes = {1, 2, 3};
    ByteReader reader(bytes);
    CHECK(reader.u32() == 0);
    CHECK_FALSE(reader.ok());
    CHECK(reader.position() == 0);
    CHECK(reader.u8() == 0);
    CHECK(reader.take(~std::uint64_t{0}).empty());
}
