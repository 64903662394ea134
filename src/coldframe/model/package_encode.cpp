#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/package_codec.hpp>
#include <coldframe/model/package_fields.hpp>
#include <coldframe/model/package_rules.hpp>
#include <coldframe/model/value_codec.hpp>

#include <bit>

namespace coldframe {
namespace {

using namespace package_codec;

class ManifestWriter {
   public:
    explicit ManifestWriter(PartSink& parts) : parts_(parts) {}

    Result<Bytes> finish(const Package& package) {
        write(package);
        if (part_error_) return std::unexpected(std::move(*part_error_));
        return std::move(w_).finish();
    }

   private:
    template <Structure T>
    void write(const T& structure) {
        w_.map(k_field_count<T>);
        each_field(structure, [&](unsigned number, const auto& member) {
            w_.unsigned_int(number);
            write(member);
        });
    }
    void write(const std::string& value) { w_.string(value); }
    void write(const Digest& value) { w_.bytes(value); }
    void write(double seconds) { w_.float_bits(std::bit_cast<std::uint64_t>(seconds)); }
    void write(std::int64_t value) { w_.integer(value); }
    void write(bool value) { w_.boolean(value); }
    void write(CodeRole role) { w_.unsigned_int(static_cast<std::uint64_t>(role)); }
    void write(const Value& value) { write_value(w_, value); }
    void write(const InstalledGlobal& global) {
        w_.array(2);
        write(global.name);
        write(global.recipe);
    }
    template <typename T>
    void write(const std::vector<T>& items) {
        w_.array(items.size());
        for (const T& item : items) write(item);
    }
    template <typename T>
    void write(const std::map<std::string, T>& items) {
        w_.string_map(items, [&](const T& item) { write(item); });
    }

    template <Structure T>
    void write(const std::shared_ptr<T>& structure) {
        if (is_there(structure)) write(*structure);
    }
    void write(const GuardedCodePtr& guarded) {
        if (!is_there(guarded)) return;
        if (!are_details(guarded->details)) w_.fail("a guarded code whose details are none");
        write(*guarded);
    }
    void write(const Environment& environment) {
        if (!are_settings(environment.settings)) w_.fail("an environment whose settings are none");
        write<Environment>(environment);
    }
    void write(const BlobPtr& blob) {
        if (!is_there(blob)) return;
        w_.array(2);
        write(blob->name());
        part(parts_.add(blob));
    }
    void write(const CodePtr& code) {
        if (is_there(code)) part(PartKind::code, encode_code(*code));
    }
    void write(const GuardProgram& guards) { part(PartKind::guards, encode_guards(guards)); }

    template <typename T>
    bool is_there(const std::shared_ptr<T>& item) {
        if (item == nullptr) w_.fail("a package with a null entry");
        return item != nullptr;
    }
    void part(PartKind kind, Result<Bytes> bytes) {
        part(bytes ? parts_.add(kind, std::move(*bytes)) : std::unexpected(std::move(bytes.error())));
    }
    void part(Result<std::uint32_t> number) {
        if (number) {
            w_.unsigned_int(*number);
        } else if (!part_error_) {
            part_error_ = std::move(number.error());
        }
    }

    PartSink& parts_;
    cbor::Writer w_;
    std::optional<Error> part_error_;
};

}  // namespace

std::string_view to_string(PartKind kind) {
    switch (kind) {
        case PartKind::manifest: return "manifest";
        case PartKind::code: return "code";
        case PartKind::guards: return "guards";
        case PartKind::blob: return "blob";
    }
    return "unknown";
}

Result<Bytes> encode_manifest(const Package& package, PartSink& parts) { return ManifestWriter(parts).finish(package); }

}  // namespace coldframe
