#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/package_codec.hpp>
#include <coldframe/model/package_fields.hpp>
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

    Result<Package> read() {
        Package package = read_package();
        if (part_error_) return std::unexpected(std::move(*part_error_));
        if (Status end = r_.finish(); !end) return std::unexpected(std::move(end.error()).with("in the manifest"));
        return package;
    }

   private:
    template <typename Function>
    void each(Function&& read_item) {
        const std::size_t count = r_.array();
        for (std::size_t i = 0; r_.ok() && i < count; ++i) read_item();
    }
    std::vector<std::string> read_strings() {
        std::vector<std::string> strings;
        each([&] { strings.push_back(r_.string()); });
        return strings;
    }
    double read_seconds() { return std::bit_cast<double>(r_.float_bits()); }
    std::uint32_t read_number() { return static_cast<std::uint32_t>(r_.unsigned_int(0xffffffff)); }

    // Keeps the first error of a part and stops the reading.
    void part_failed(Error error, std::uint32_t number) {
        if (!part_error_) part_error_ = std::move(error).with("in part " + std::to_string(number));
        r_.corrupt("a part that cannot be read");
    }
    template <typename T>
    Result<T> read_part(PartKind kind, std::uint32_t number, Result<T> (*decode)(ByteView, cbor::UnknownFields)) {
        COLDFRAME_TRY_ASSIGN(const Bytes bytes, parts_.read(kind, number));
        return decode(bytes, unknown_);
    }
    CodePtr read_code_part();
    GuardProgram read_guards_part();
    BlobPtr read_blob();

    Package read_package();
    PackageKey read_key();
    Environment read_environment();
    SourceFilePtr read_source();
    SourceFunction read_function();
    CodeEntryPtr read_code_entry();
    GuardedCodePtr read_guarded_code();
    ArtifactPtr read_artifact();
    CodeRole read_role();

    PartSource& parts_;
    cbor::UnknownFields unknown_;
    cbor::Reader r_;
    std::optional<Error> part_error_;
    std::unordered_map<std::uint32_t, CodePtr> codes_;  // equal code objects become one
};

CodePtr ManifestReader::read_code_part() {
    const std::uint32_t number = read_number();
    if (!r_.ok()) return nullptr;
    if (const auto known = codes_.find(number); known != codes_.end()) return known->second;
    Result<CodePtr> code = read_part(PartKind::code, number, decode_code);
    if (!code) {
        part_failed(std::move(code.error()), number);
        return nullptr;
    }
    return codes_.emplace(number, std::move(*code)).first->second;
}

GuardProgram ManifestReader::read_guards_part() {
    const std::uint32_t number = read_number();
    if (!r_.ok()) return {};
    Result<GuardProgram> guards = read_part(PartKind::guards, number, decode_guards);
    if (guards) return std::move(*guards);
    part_failed(std::move(guards.error()), number);
    return {};
}

BlobPtr ManifestReader::read_blob() {
    r_.array_of(2);
    std::string name = r_.string();
    const std::uint32_t number = read_number();
    if (!r_.ok()) return nullptr;
    Result<BlobPtr> blob = parts_.blob(number, std::move(name));
    if (blob) return std::move(*blob);
    part_failed(std::move(blob.error()), number);
    return nullptr;
}

Package ManifestReader::read_package() {
    Package package;
    r_.fields(k_package_fields, [&](unsigned field) {
        switch (field) {
            case 0: package.key = read_key(); break;
            case 1: package.environment = read_environment(); break;
            case 2: each([&] { package.sources.push_back(read_source()); }); break;
            case 3: each([&] { package.codes.push_back(read_code_entry()); }); break;
            case 4: each([&] { package.artifacts.push_back(read_artifact()); }); break;
            case 5: package.producer = r_.string(); break;
            case 6: package.created = r_.integer(); break;
            case 7: package.compile_seconds = read_seconds(); break;
            default: break;
        }
    });
    return package;
}

PackageKey ManifestReader::read_key() {
    PackageKey key;
    r_.fields(k_key_fields, [&](unsigned field) {
        switch (field) {
            case 0: key.module = r_.string(); break;
            case 1: key.qualname = r_.string(); break;
            case 2: key.code = r_.digest(); break;
            case 3: key.options = r_.digest(); break;
            default: break;
        }
    });
    return key;
}

Environment ManifestReader::read_environment() {
    Environment environment;
    r_.fields(k_environment_fields, [&](unsigned field) {
        switch (field) {
            case 0: environment.python_implementation = r_.string(); break;
            case 1: environment.python_version = r_.string(); break;
            case 2: environment.python_magic = r_.string(); break;
            case 3: environment.soabi = r_.string(); break;
            case 4: environment.torch_version = r_.string(); break;
            case 5: environment.torch_git = r_.string(); break;
            case 6: environment.device_type = r_.string(); break;
            case 7: environment.machine = r_.string(); break;
            case 8: environment.libc = r_.string(); break;
            case 9: environment.cpu_features = read_strings(); break;
            case 10: r_.string_map([&](std::string key) { environment.device.emplace(std::move(key), r_.string()); }); break;
            case 11:
                r_.string_map([&](std::string key) { environment.settings.emplace(std::move(key), read_value(r_)); });
                break;
            default: break;
        }
    });
    return environment;
}

SourceFilePtr ManifestReader::read_source() {
    auto source = std::make_shared<SourceFile>();
    r_.fields(k_source_fields, [&](unsigned field) {
        switch (field) {
            case 0: source->module = r_.string(); break;
            case 1: source->path_hint = r_.string(); break;
            case 2: source->digest = r_.digest(); break;
            case 3: each([&] { source->functions.push_back(read_function()); }); break;
            default: break;
        }
    });
    return source;
}

SourceFunction ManifestReader::read_function() {
    SourceFunction function;
    r_.fields(k_function_fields, [&](unsigned field) {
        switch (field) {
            case 0: function.qualname = r_.string(); break;
            case 1: function.code = r_.digest(); break;
            case 2: function.first_line = r_.integer(); break;
            case 3: function.last_line = r_.integer(); break;
            default: break;
        }
    });
    return function;
}

CodeRole ManifestReader::read_role() {
    const std::uint64_t role = r_.unsigned_int(0xff);
    if (role > static_cast<std::uint64_t>(CodeRole::user_function)) {
        const bool newer = unknown_ == cbor::UnknownFields::skip;
        r_.fail(newer ? ErrorCode::unsupported : ErrorCode::corrupt, "an unknown code role " + std::to_string(role));
    }
    return static_cast<CodeRole>(role);
}

CodeEntryPtr ManifestReader::read_code_entry() {
    auto entry = std::make_shared<CodeEntry>();
    r_.fields(k_code_entry_fields, [&](unsigned field) {
        switch (field) {
            case 0: entry->python_code = read_code_part(); break;
            case 1: entry->module = r_.string(); break;
            case 2: entry->role = read_role(); break;
            case 3: entry->function_names = read_strings(); break;
            case 4: entry->code_source = r_.string(); break;
            case 5: each([&] { entry->guarded_codes.push_back(read_guarded_code()); }); break;
            case 6: r_.string_map([&](std::string key) { entry->import_sources.emplace(std::move(key), r_.string()); }); break;
            case 7:
                each([&] {
                    r_.array_of(2);
                    std::string name = r_.string();
                    entry->installed_globals.push_back({std::move(name), read_value(r_)});
                });
                break;
            case 8: entry->backend_ids = read_strings(); break;
            case 9: entry->bypassed = r_.boolean(); break;
            case 10: entry->bypass_reason = r_.string(); break;
            case 11: entry->skipped = r_.boolean(); break;
            default: break;
        }
    });
    return entry;
}

GuardedCodePtr ManifestReader::read_guarded_code() {
    auto guarded = std::make_shared<GuardedCode>();
    r_.fields(k_guarded_code_fields, [&](unsigned field) {
        switch (field) {
            case 0: guarded->guards = read_guards_part(); break;
            case 1: guarded->dynamo_code = read_code_part(); break;
            case 2: guarded->backend_ids = read_strings(); break;
            case 3: guarded->compile_seconds = read_seconds(); break;
            case 4: guarded->details = read_value(r_); break;
            default: break;
        }
    });
    if (r_.ok() && guarded->details.get_if<Dict>() == nullptr) r_.corrupt("details that are no dict");
    return guarded;
}

ArtifactPtr ManifestReader::read_artifact() {
    auto artifact = std::make_shared<Artifact>();
    r_.fields(k_artifact_fields, [&](unsigned field) {
        switch (field) {
            case 0: artifact->backend_id = r_.string(); break;
            case 1: artifact->kind = r_.string(); break;
            case 2: artifact->recipe = read_value(r_); break;
            case 3: each([&] { artifact->blobs.push_back(read_blob()); }); break;
            default: break;
        }
    });
    return artifact;
}

}  // namespace

Result<Package> decode_manifest(ByteView manifest, PartSource& parts, cbor::UnknownFields unknown) {
    return ManifestReader(manifest, parts, unknown).read();
}

}  // namespace coldframe
