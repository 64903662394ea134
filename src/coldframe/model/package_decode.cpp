#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/package_codec.hpp>
#include <coldframe/model/package_fields.hpp>
#include <coldframe/model/package_rules.hpp>
#include <coldframe/model/value_codec.hpp>
#include <coldframe/util/try.hpp>

#include <bit>
#include <unordered_map>

namespace coldframe {
namespace {

using namespace package_codec;

class ManifestReader {
   public:
    ManifestReader(ByteView manifest, PartSource& parts, cbor::UnknownFields unknown)
        : parts_(parts), unknown_(unknown), r_(manifest, unknown) {}

    Result<Package> finish() {
        Package package;
        read(package);
        if (part_error_) return std::unexpected(std::move(*part_error_));
        if (Status end = r_.finish(); !end) return std::unexpected(std::move(end.error()).with("in the manifest"));
        return package;
    }

   private:
    template <Structure T>
    void read(T& structure) {
        r_.fields(k_field_count<T>, [&](unsigned present) {
            each_field(structure, [&](unsigned number, auto& member) {
                if (number == present) read(member);
            });
        });
    }
    void read(std::string& value) { value = r_.string(); }
    void read(Digest& value) { value = r_.digest(); }
    void read(double& seconds) { seconds = std::bit_cast<double>(r_.float_bits()); }
    void read(std::int64_t& value) { value = r_.integer(); }
    void read(bool& value) { value = r_.boolean(); }
    void read(CodeRole& role);
    void read(Value& value) { value = read_value(r_); }
    void read(InstalledGlobal& global) {
        r_.array_of(2);
        read(global.name);
        read(global.recipe);
    }
    template <typename T>
    void read(std::vector<T>& items) {
        const std::size_t count = r_.array();
        for (std::size_t i = 0; r_.ok() && i < count; ++i) read(items.emplace_back());
    }
    template <typename T>
    void read(std::map<std::string, T>& items) {
        r_.string_map([&](std::string key) { read(items[std::move(key)]); });
    }

    template <Structure T>
    void read(std::shared_ptr<T>& structure) {
        structure = std::make_shared<T>();
        read(*structure);
    }
    void read(GuardedCodePtr& guarded) {
        guarded = std::make_shared<GuardedCode>();
        read(*guarded);
        if (r_.ok() && !are_details(guarded->details)) r_.corrupt("details that are none");
    }
    void read(Environment& environment) {
        read<Environment>(environment);
        if (r_.ok() && !are_settings(environment.settings)) r_.corrupt("settings that are none");
    }
    void read(BlobPtr& blob);
    void read(CodePtr& code);
    void read(GuardProgram& guards);

    // The number of a part, unless reading has failed.
    std::optional<std::uint32_t> part_number() {
        const auto number = static_cast<std::uint32_t>(r_.unsigned_int(0xffffffff));
        return r_.ok() ? std::optional(number) : std::nullopt;
    }
    template <typename T>
    Result<T> read_part(PartKind kind, std::uint32_t number, Result<T> (*decode)(ByteView, cbor::UnknownFields)) {
        COLDFRAME_TRY_ASSIGN(const Bytes bytes, parts_.read(kind, number));
        return decode(bytes, unknown_);
    }
    // What was read of a part; keeps the first error of one, and stops the reading.
    template <typename T>
    T checked(Result<T> part, std::uint32_t number) {
        if (part) return std::move(*part);
        if (!part_error_) part_error_ = std::move(part.error()).with("in part " + std::to_string(number));
        r_.corrupt("a part that cannot be read");
        return {};
    }

    PartSource& parts_;
    cbor::UnknownFields unknown_;
    cbor::Reader r_;
    std::optional<Error> part_error_;
    std::unordered_map<std::uint32_t, CodePtr> codes_;  // equal code objects become one
};

void ManifestReader::read(CodeRole& role) {
    const std::uint64_t number = r_.unsigned_int(0xff);
    if (number > static_cast<std::uint64_t>(CodeRole::user_function)) {
        const bool newer = unknown_ == cbor::UnknownFields::skip;
        r_.fail(newer ? ErrorCode::unsupported : ErrorCode::corrupt, "an unknown code role " + std::to_string(number));
    }
    role = static_cast<CodeRole>(number);
}

void ManifestReader::read(CodePtr& code) {
    const std::optional<std::uint32_t> number = part_number();
    if (!number) return;
    const auto [place, added] = codes_.try_emplace(*number);
    if (added) place->second = checked(read_part(PartKind::code, *number, decode_code), *number);
    code = place->second;
}

void ManifestReader::read(GuardProgram& guards) {
    const std::optional<std::uint32_t> number = part_number();
    if (number) guards = checked(read_part(PartKind::guards, *number, decode_guards), *number);
}

void ManifestReader::read(BlobPtr& blob) {
    r_.array_of(2);
    std::string name = r_.string();
    const std::optional<std::uint32_t> number = part_number();
    if (number) blob = checked(parts_.blob(*number, std::move(name)), *number);
}

}  // namespace

Result<Package> decode_manifest(ByteView manifest, PartSource& parts, cbor::UnknownFields unknown) {
    return ManifestReader(manifest, parts, unknown).finish();
}

}  // namespace coldframe
