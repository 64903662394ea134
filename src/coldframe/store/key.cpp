#include <coldframe/store/store.hpp>

#include <coldframe/util/byte_io.hpp>

#include <algorithm>
#include <string_view>

namespace coldframe::store {
namespace {

constexpr const char* k_structure = "structure";          // in the settings
constexpr std::string_view k_domain = "coldframe key 1";  // no other digest is over bytes that begin so

void write_text(ByteWriter& writer, std::string_view text) {
    writer.u64(text.size());
    writer.raw({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

}  // namespace

std::optional<Digest> structure_of(const Package& package) {
    const auto found = package.environment.settings.find(k_structure);
    const Bytes* bytes = found == package.environment.settings.end() ? nullptr : found->second.get_if<Bytes>();
    Digest structure{};
    if (bytes == nullptr || bytes->size() != structure.size()) return std::nullopt;
    std::ranges::copy(*bytes, structure.begin());
    return structure;
}

void set_structure(Package& package, const Digest& structure) {
    package.environment.settings.insert_or_assign(k_structure, Bytes(structure.begin(), structure.end()));
}

Digest key_digest(const Package& package) { return key_digest(package.key, structure_of(package)); }

Digest key_digest(const PackageKey& key, const std::optional<Digest>& structure) {
    ByteWriter writer;
    write_text(writer, k_domain);
    write_text(writer, key.module);
    write_text(writer, key.qualname);
    writer.raw(key.code);
    writer.raw(key.options);
    if (structure) writer.raw(*structure);
    return sha256(writer.view());
}

}  // namespace coldframe::store
