#include <coldframe/store/store.hpp>

#include <coldframe/util/byte_io.hpp>

#include <string_view>

namespace coldframe::store {
namespace {

constexpr std::string_view k_domain = "coldframe key 1";  // no other digest is over bytes that begin so

void write_text(ByteWriter& writer, std::string_view text) {
    writer.u64(text.size());
    writer.raw({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

}  // namespace

Digest key_digest(const PackageKey& key) {
    ByteWriter writer;
    write_text(writer, k_domain);
    write_text(writer, key.module);
    write_text(writer, key.qualname);
    writer.raw(key.code);
    writer.raw(key.options);
    return sha256(writer.view());
}

}  // namespace coldframe::store
