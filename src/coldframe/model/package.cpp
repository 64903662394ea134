// Merging copies before it changes anything: entries are shared between packages, and a refused merge leaves both as they were.
#include <coldframe/model/package.hpp>

#include <algorithm>

namespace coldframe {
namespace {

class MemoryBlob final : public Blob {
   public:
    MemoryBlob(std::string name, Bytes bytes) : name_(std::move(name)), bytes_(std::move(bytes)), digest_(sha256(bytes_)) {}
    const std::string& name() const override { return name_; }
    std::uint64_t size() const override { return bytes_.size(); }
    const Digest& digest() const override { return digest_; }
    Result<Bytes> read() const override { return bytes_; }

   private:
    std::string name_;
    Bytes bytes_;
    Digest digest_;
};

bool same_code(const CodePtr& left, const CodePtr& right) {
    if (left == right) return true;
    return left != nullptr && right != nullptr && *left == *right;
}

bool same_blobs(const std::vector<BlobPtr>& left, const std::vector<BlobPtr>& right) {
    return std::ranges::equal(
        left, right, [](const BlobPtr& a, const BlobPtr& b) { return a->name() == b->name() && a->digest() == b->digest(); });
}

std::unexpected<Error> conflict(std::string message) { return fail(ErrorCode::incompatible, std::move(message)); }

void add_missing(std::vector<std::string>& into, const std::vector<std::string>& from) {
    for (const std::string& string : from) {
        if (std::ranges::find(into, string) == into.end()) into.push_back(string);
    }
}

// Instruction sets add up, because a package needs what any of its variants needs; all else must agree.
Status merge_environment(Environment& into, const Environment& from) {
    const auto require = [](const auto& left, const auto& right, std::string_view field) -> Status {
        if (left == right) return {};
        return conflict("the packages were made in different environments: " + std::string(field) + " differs");
    };
    const Status checks[] = {
        require(into.python_implementation, from.python_implementation, "python_implementation"),
        require(into.python_version, from.python_version, "python_version"),
        require(into.python_magic, from.python_magic, "python_magic"),
        require(into.soabi, from.soabi, "soabi"),
        require(into.torch_version, from.torch_version, "torch_version"),
        require(into.torch_git, from.torch_git, "torch_git"),
        require(into.device_type, from.device_type, "device_type"),
        require(into.machine, from.machine, "machine"),
        require(into.libc, from.libc, "libc"),
        require(into.device, from.device, "device"),
        require(into.settings, from.settings, "settings"),
    };
    for (const Status& check : checks) {
        if (!check) return check;
    }
    add_missing(into.cpu_features, from.cpu_features);
    std::ranges::sort(into.cpu_features);
    return {};
}

// A function that has one code in one file and another in the other: the source was edited between the two captures.
const SourceFunction* changed_function(const SourceFile& left, const SourceFile& right) {
    for (const SourceFunction& function : right.functions) {
        const auto same_name = [&](const SourceFunction& other) { return other.qualname == function.qualname; };
        const auto same_function = [&](const SourceFunction& other) { return same_name(other) && other.code == function.code; };
        if (std::ranges::any_of(left.functions, same_name) && std::ranges::none_of(left.functions, same_function)) {
            return &function;
        }
    }
    return nullptr;
}

Status merge_source(std::vector<SourceFilePtr>& into, const SourceFilePtr& from) {
    for (SourceFilePtr& source : into) {
        if (source->module != from->module) continue;
        if (source->digest != from->digest) {
            const SourceFunction* changed = changed_function(*source, *from);
            if (changed == nullptr) continue;
            return conflict("the source of '" + from->module + "' changed between the packages: " + changed->qualname);
        }
        auto merged = std::make_shared<SourceFile>(*source);
        for (const SourceFunction& function : from->functions) {
            if (std::ranges::find(merged->functions, function) == merged->functions.end())
                merged->functions.push_back(function);
        }
        source = std::move(merged);
        return {};
    }
    into.push_back(from);
    return {};
}

bool same_frame(const CodeEntry& left, const CodeEntry& right) {
    return left.module == right.module && left.role == right.role && same_code(left.python_code, right.python_code);
}

Status merge_globals(CodeEntry& into, const CodeEntry& from) {
    for (const auto& [alias, module] : from.import_sources) {
        const auto [present, added] = into.import_sources.try_emplace(alias, module);
        if (!added && present->second != module) {
            return conflict("the import alias '" + alias + "' names '" + present->second + "' and '" + module + "'");
        }
    }
    for (const InstalledGlobal& global : from.installed_globals) {
        const auto present = std::ranges::find(into.installed_globals, global.name, &InstalledGlobal::name);
        if (present == into.installed_globals.end()) {
            into.installed_globals.push_back(global);
        } else if (!(*present == global)) {
            return conflict("the installed global '" + global.name + "' has two recipes");
        }
    }
    return {};
}

// Adds to `seconds` what the variants that are new took to compile.
Status merge_entry(CodeEntry& into, const CodeEntry& from, double& seconds) {
    add_missing(into.function_names, from.function_names);
    add_missing(into.backend_ids, from.backend_ids);
    if (Status globals = merge_globals(into, from); !globals) return globals;
    if (into.code_source.empty()) into.code_source = from.code_source;
    // Of what is skipped it says why, however many variants there are.
    if (into.bypassed && !from.bypassed && !into.skipped) into.bypass_reason.clear();
    if (into.bypass_reason.empty() && from.skipped) into.bypass_reason = from.bypass_reason;
    into.bypassed = into.bypassed && from.bypassed;
    into.skipped = into.skipped || from.skipped;
    for (const GuardedCodePtr& guarded : from.guarded_codes) {
        const auto same = [&](const GuardedCodePtr& other) { return *other == *guarded; };
        if (std::ranges::any_of(into.guarded_codes, same)) continue;
        into.guarded_codes.push_back(guarded);
        seconds += guarded->compile_seconds;
    }
    return {};
}

Status merge_code(std::vector<CodeEntryPtr>& into, const CodeEntryPtr& from, double& seconds) {
    const auto entry = std::ranges::find_if(into, [&](const CodeEntryPtr& other) { return same_frame(*other, *from); });
    if (entry == into.end()) {
        into.push_back(from);
        for (const GuardedCodePtr& guarded : from->guarded_codes) seconds += guarded->compile_seconds;
        return {};
    }
    auto merged = std::make_shared<CodeEntry>(**entry);
    if (Status status = merge_entry(*merged, *from, seconds); !status) return status;
    *entry = std::move(merged);
    return {};
}

Status merge_artifact(std::vector<ArtifactPtr>& into, const ArtifactPtr& from) {
    const auto same_id = [&](const ArtifactPtr& other) { return other->backend_id == from->backend_id; };
    const auto present = std::ranges::find_if(into, same_id);
    if (present == into.end()) {
        into.push_back(from);
        return {};
    }
    const Artifact& artifact = **present;
    if (artifact.kind == from->kind && artifact.recipe == from->recipe && same_blobs(artifact.blobs, from->blobs)) return {};
    return conflict("the backend id '" + from->backend_id + "' stands for two different artifacts");
}

Status merge_all(Package& into, const Package& from) {
    if (!(into.key == from.key)) {
        return fail(ErrorCode::invalid_argument, "packages of different keys cannot be merged: '" + into.key.module + "." +
                                                     into.key.qualname + "' and '" + from.key.module + "." + from.key.qualname +
                                                     "', or another code or other options");
    }
    if (Status environment = merge_environment(into.environment, from.environment); !environment) return environment;
    for (const SourceFilePtr& source : from.sources) {
        if (Status status = merge_source(into.sources, source); !status) return status;
    }
    double seconds = 0;
    for (const CodeEntryPtr& code : from.codes) {
        if (Status status = merge_code(into.codes, code, seconds); !status) return status;
    }
    for (const ArtifactPtr& artifact : from.artifacts) {
        if (Status status = merge_artifact(into.artifacts, artifact); !status) return status;
    }
    into.created = std::max(into.created, from.created);
    into.compile_seconds += seconds;
    return {};
}

}  // namespace

BlobPtr make_blob(std::string name, Bytes bytes) { return std::make_shared<MemoryBlob>(std::move(name), std::move(bytes)); }

// The same variant twice, whatever it took to compile it.
bool GuardedCode::operator==(const GuardedCode& other) const {
    return same_code(dynamo_code, other.dynamo_code) && backend_ids == other.backend_ids && guards == other.guards &&
           details == other.details;
}

Status Package::merge(const Package& other) {
    Package merged = *this;
    if (Status status = merge_all(merged, other); !status) return status;
    *this = std::move(merged);
    return {};
}

}  // namespace coldframe
