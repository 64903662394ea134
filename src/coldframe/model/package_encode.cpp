#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/package_codec.hpp>
#include <coldframe/model/package_fields.hpp>
#include <coldframe/model/value_codec.hpp>

#include <bit>

namespace coldframe {
namespace {

using namespace package_codec;

class ManifestWriter {
   public:
    explicit ManifestWriter(PartSink& parts) : parts_(parts) {}

    Result<Bytes> write(const Package& package) {
        write_package(package);
        if (part_error_) return std::unexpected(std::move(*part_error_));
        return std::move(w_).finish();
    }

   private:
    // Starts a structure, whose fields then follow as field(0), value, field(1), value ...
    void begin(unsigned count) { w_.map(count); }
    void field(unsigned number) { w_.unsigned_int(number); }
    void string_field(unsigned number, const std::string& value) {
        field(number);
        w_.string(value);
    }
    void digest_field(unsigned number, const Digest& value) {
        field(number);
        w_.bytes(value);
    }
    void seconds_field(unsigned number, double value) {
        field(number);
        w_.float_bits(std::bit_cast<std::uint64_t>(value));
    }
    void strings_field(unsigned number, const std::vector<std::string>& values) {
        field(number);
        w_.array(values.size());
        for (const std::string& value : values) w_.string(value);
    }
    template <typename Items, typename Function>
    void array_field(unsigned number, const Items& items, Function&& write_item) {
        field(number);
        w_.array(items.size());
        for (const auto& item : items) write_item(item);
    }
    // The items are pointers, none of which may be null.
    template <typename Items, typename Function>
    void pointers_field(unsigned number, const Items& items, Function&& write_item) {
        array_field(number, items, [&](const auto& item) {
            if (item == nullptr) {
                w_.fail("a package with a null entry");
            } else {
                write_item(*item);
            }
        });
    }
    void part(Result<std::uint32_t> number) {
        if (number) {
            w_.unsigned_int(*number);
        } else if (!part_error_) {
            part_error_ = std::move(number.error());
        }
    }
    void part(PartKind kind, Result<Bytes> bytes) {
        if (bytes) {
            part(parts_.add(kind, std::move(*bytes)));
        } else if (!part_error_) {
            part_error_ = std::move(bytes.error());
        }
    }
    void code_part(const CodePtr& code) {
        if (code == nullptr) {
            w_.fail("a package with a null code object");
        } else {
            part(PartKind::code, encode_code(*code));
        }
    }

    void write_package(const Package& package);
    void write_key(const PackageKey& key);
    void write_environment(const Environment& environment);
    void write_source(const SourceFile& source);
    void write_code_entry(const CodeEntry& entry);
    void write_guarded_code(const GuardedCode& guarded);
    void write_artifact(const Artifact& artifact);

    PartSink& parts_;
    cbor::Writer w_;
    std::optional<Error> part_error_;
};

void ManifestWriter::write_package(const Package& package) {
    begin(k_package_fields);
    field(0);
    write_key(package.key);
    field(1);
    write_environment(package.environment);
    pointers_field(2, package.sources, [&](const SourceFile& source) { write_source(source); });
    pointers_field(3, package.codes, [&](const CodeEntry& entry) { write_code_entry(entry); });
    pointers_field(4, package.artifacts, [&](const Artifact& artifact) { write_artifact(artifact); });
    string_field(5, package.producer);
    field(6);
    w_.integer(package.created);
    seconds_field(7, package.compile_seconds);
}

void ManifestWriter::write_key(const PackageKey& key) {
    begin(k_key_fields);
    string_field(0, key.module);
    string_field(1, key.qualname);
    digest_field(2, key.code);
    digest_field(3, key.options);
}

void ManifestWriter::write_environment(const Environment& environment) {
    begin(k_environment_fields);
    string_field(0, environment.python_implementation);
    string_field(1, environment.python_version);
    string_field(2, environment.python_magic);
    string_field(3, environment.soabi);
    string_field(4, environment.torch_version);
    string_field(5, environment.torch_git);
    string_field(6, environment.device_type);
    string_field(7, environment.machine);
    string_field(8, environment.libc);
    strings_field(9, environment.cpu_features);
    field(10);
    w_.string_map(environment.device, [&](const std::string& value) { w_.string(value); });
    field(11);
    w_.string_map(environment.settings, [&](const Value& value) { write_value(w_, value); });
}

void ManifestWriter::write_source(const SourceFile& source) {
    begin(k_source_fields);
    string_field(0, source.module);
    string_field(1, source.path_hint);
    digest_field(2, source.digest);
    array_field(3, source.functions, [&](const SourceFunction& function) {
        begin(k_function_fields);
        string_field(0, function.qualname);
        digest_field(1, function.code);
        field(2);
        w_.integer(function.first_line);
        field(3);
        w_.integer(function.last_line);
    });
}

void ManifestWriter::write_code_entry(const CodeEntry& entry) {
    begin(k_code_entry_fields);
    field(0);
    code_part(entry.python_code);
    string_field(1, entry.module);
    field(2);
    w_.unsigned_int(static_cast<std::uint64_t>(entry.role));
    strings_field(3, entry.function_names);
    string_field(4, entry.code_source);
    pointers_field(5, entry.guarded_codes, [&](const GuardedCode& guarded) { write_guarded_code(guarded); });
    field(6);
    w_.string_map(entry.import_sources, [&](const std::string& module) { w_.string(module); });
    array_field(7, entry.installed_globals, [&](const InstalledGlobal& global) {
        w_.array(2);
        w_.string(global.name);
        write_value(w_, global.recipe);
    });
    strings_field(8, entry.backend_ids);
    field(9);
    w_.boolean(entry.bypassed);
    string_field(10, entry.bypass_reason);
    field(11);
    w_.boolean(entry.skipped);
}

void ManifestWriter::write_guarded_code(const GuardedCode& guarded) {
    if (guarded.details.get_if<Dict>() == nullptr) w_.fail("a guarded code whose details are no dict");
    begin(k_guarded_code_fields);
    field(0);
    part(PartKind::guards, encode_guards(guarded.guards));
    field(1);
    code_part(guarded.dynamo_code);
    strings_field(2, guarded.backend_ids);
    seconds_field(3, guarded.compile_seconds);
    field(4);
    write_value(w_, guarded.details);
}

void ManifestWriter::write_artifact(const Artifact& artifact) {
    begin(k_artifact_fields);
    string_field(0, artifact.backend_id);
    string_field(1, artifact.kind);
    field(2);
    write_value(w_, artifact.recipe);
    array_field(3, artifact.blobs, [&](const BlobPtr& blob) {
        if (blob == nullptr) {
            w_.fail("an artifact with a null blob");
            return;
        }
        w_.array(2);
        w_.string(blob->name());
        part(parts_.add(blob));
    });
}

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

Result<Bytes> encode_manifest(const Package& package, PartSink& parts) { return ManifestWriter(parts).write(package); }

}  // namespace coldframe
