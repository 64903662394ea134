#include <coldframe/cli/report.hpp>
#include <coldframe/cli/text.hpp>

#include <algorithm>
#include <ostream>

namespace coldframe::cli {
namespace {

std::string python_text(const Environment& environment) {
    return printable(environment.python_implementation + " " + environment.python_version + " (magic " +
                     environment.python_magic + ", " + environment.soabi + ")");
}

void print_package(const Subject& subject, std::ostream& out) {
    const Package& package = subject.package;
    Table table(2);
    const std::uint64_t size = subject.reader.file_size();
    table.add({"size", size_text(size) + " (" + count_text(size, "byte") + " in " +
                           count_text(subject.reader.entries().size(), "part") + ")"});
    table.add({"format", version_text(subject.reader)});
    table.add({"digest", to_hex(subject.reader.digest())});
    table.add({"producer", printable(package.producer)});
    table.add({"created", time_text(package.created)});
    table.add({"saves", seconds_text(package.compile_seconds) + " of compiling"});
    out << "package " << printable(subject.reader.path()) << '\n';
    table.print(out);
}

void print_key(const PackageKey& key, std::ostream& out) {
    Table table(2);
    table.add({"module", printable(key.module)});
    table.add({"qualname", printable(key.qualname)});
    table.add({"code", to_hex(key.code)});
    table.add({"options", to_hex(key.options)});
    out << "\nkey\n";
    table.print(out);
}

void print_environment(const Environment& environment, std::ostream& out) {
    Table table(2);
    table.add({"python", python_text(environment)});
    table.add({"torch", printable(environment.torch_version + " (" + environment.torch_git + ")")});
    table.add({"device", printable(environment.device_type)});
    table.add({"machine", printable(environment.machine + ", " + environment.libc)});
    table.add({"cpu features", environment.cpu_features.empty() ? "none" : join(environment.cpu_features, " ")});
    for (const auto& [name, value] : environment.device) table.add({"device " + printable(name), printable(value)});
    for (const auto& [name, value] : environment.settings) table.add({"setting " + printable(name), repr(value)});
    out << "\nenvironment\n";
    table.print(out);
}

void print_sources(const Package& package, std::ostream& out) {
    Table table(2);
    table.align_right(1);
    for (const SourceFilePtr& source : package.sources) {
        table.add({printable(source->module), count_text(source->functions.size(), "function"), short_hex(source->digest),
                   printable(source->path_hint)});
    }
    out << "\nsources: " << package.sources.size() << '\n';
    table.print(out);
}

std::string op_text(const GuardOp& op) {
    std::string text = op.result ? "%" + std::to_string(*op.result) + " = " : std::string();
    text.append(guard_name(op.kind)).append("(");
    std::string_view separator;
    for (const NodeId input : op.inputs) {
        text.append(separator).append("%").append(std::to_string(input));
        separator = ", ";
    }
    for (const Value& operand : op.operands) {
        text.append(separator).append(repr(operand));
        separator = ", ";
    }
    return text + ")";
}

void print_guards(const GuardProgram& program, std::ostream& out) {
    out << "      %0 = the frame\n";
    for (const GuardOp& op : program.ops()) {
        const std::string text = op_text(op);
        constexpr std::size_t k_source_column = 64;
        out << "      " << text << std::string(k_source_column - std::min(text.size(), k_source_column - 2), ' ')
            << printable(op.source) << '\n';
        for (const std::string& explanation : op.explanations) out << "        # " << printable(explanation) << '\n';
    }
}

void print_code(const CodeObject& code, std::size_t indent, std::ostream& out) {
    const CodeFields& fields = code.fields();
    Table table(indent + 2);
    table.add({"co_argcount", std::to_string(fields.argcount)});
    table.add({"co_posonlyargcount", std::to_string(fields.posonlyargcount)});
    table.add({"co_kwonlyargcount", std::to_string(fields.kwonlyargcount)});
    table.add({"co_nlocals", std::to_string(fields.nlocals)});
    table.add({"co_stacksize", std::to_string(fields.stacksize)});
    table.add({"co_flags", std::to_string(fields.flags)});
    table.add({"co_code", hex_preview(fields.code)});
    table.add({"co_names", join(fields.names, ", ")});
    table.add({"co_varnames", join(fields.varnames, ", ")});
    table.add({"co_freevars", join(fields.freevars, ", ")});
    table.add({"co_cellvars", join(fields.cellvars, ", ")});
    table.add({"co_filename", printable(fields.filename)});
    table.add({"co_firstlineno", std::to_string(fields.firstlineno)});
    table.add({"co_name", printable(fields.name)});
    table.add({"co_qualname", printable(fields.qualname)});
    table.add({"co_linetable", hex_preview(fields.linetable)});
    table.add({"co_exceptiontable", hex_preview(fields.exceptiontable)});
    for (std::size_t i = 0; i < fields.consts.size(); ++i) {
        table.add({"co_consts[" + std::to_string(i) + "]", repr(fields.consts[i])});
    }
    out << std::string(indent, ' ') << "code " << printable(fields.qualname) << "  " << to_hex(code.digest()) << '\n';
    table.print(out);
    for (const Value& constant : fields.consts) {
        if (const auto* nested = constant.get_if<CodePtr>()) print_code(**nested, indent + 2, out);
    }
}

void print_codes_in(const Value& value, std::size_t indent, std::ostream& out) {
    if (const auto* code = value.get_if<CodePtr>()) print_code(**code, indent, out);
    if (const auto* tuple = value.get_if<Tuple>()) {
        for (const Value& item : tuple->items) print_codes_in(item, indent, out);
    }
    if (const auto* list = value.get_if<List>()) {
        for (const Value& item : list->items) print_codes_in(item, indent, out);
    }
    if (const auto* dict = value.get_if<Dict>()) {
        for (const ValuePair& pair : dict->items) print_codes_in(pair.value, indent, out);
    }
}

void print_entry(const CodeEntry& entry, Detail detail, std::ostream& out) {
    out << "  " << role_name(entry.role) << ' ' << printable(entry.python_code->fields().qualname) << " in "
        << printable(entry.module) << ": " << count_text(entry.guarded_codes.size(), "variant") << '\n';
    Table table(4);
    if (!entry.function_names.empty()) table.add({"names", join(entry.function_names, ", ")});
    if (!entry.code_source.empty()) table.add({"found at", printable(entry.code_source)});
    if (entry.bypassed) table.add({"bypassed", printable(entry.bypass_reason)});
    for (const auto& [alias, module] : entry.import_sources) table.add({"import", printable(module + " as " + alias)});
    for (const InstalledGlobal& global : entry.installed_globals)
        table.add({"global", printable(global.name), repr(global.recipe)});
    table.print(out);
    for (const InstalledGlobal& global : entry.installed_globals) {
        if (detail.code) print_codes_in(global.recipe, 6, out);
    }
    std::size_t number = 0;
    for (const GuardedCodePtr& variant : entry.guarded_codes) {
        out << "    variant " << ++number << ": " << count_text(guard_count(variant->guards), "guard") << ", backends "
            << (variant->backend_ids.empty() ? "none" : join(variant->backend_ids, ", ")) << ", saves "
            << seconds_text(variant->compile_seconds) << '\n';
        if (detail.guards) print_guards(variant->guards, out);
        if (detail.code) print_code(*variant->dynamo_code, 6, out);
    }
}

void print_artifacts(const Subject& subject, Detail detail, std::ostream& out) {
    Table table(2);
    table.align_right(1);
    table.align_right(2);
    for (const ArtifactPtr& artifact : subject.package.artifacts) {
        std::uint64_t size = 0;
        std::uint64_t stored = 0;
        for (const BlobPtr& blob : artifact->blobs) {
            size += blob->size();
            stored += stored_size(subject.reader, *blob);
        }
        table.add({printable(artifact->backend_id), size_text(size), "stored as " + size_text(stored),
                   printable(artifact->kind) + ", " + count_text(artifact->blobs.size(), "blob")});
        for (const BlobPtr& blob : artifact->blobs) {
            table.add({"  " + printable(blob->name()), size_text(blob->size()),
                       "stored as " + size_text(stored_size(subject.reader, *blob)), to_hex(blob->digest())});
        }
    }
    out << "\nartifacts: " << subject.package.artifacts.size() << '\n';
    table.print(out);
    if (!detail.code) return;
    for (const ArtifactPtr& artifact : subject.package.artifacts) {
        out << "  recipe of " << printable(artifact->backend_id) << ": " << repr(artifact->recipe) << '\n';
        print_codes_in(artifact->recipe, 4, out);
    }
}

}  // namespace

std::uint64_t stored_size(const archive::Reader& reader, const Blob& blob) {
    for (const archive::Entry& entry : reader.entries()) {
        if (entry.raw_digest == blob.digest() && entry.raw_size == blob.size()) return entry.stored_size;
    }
    return blob.size();
}

std::string version_text(const archive::Reader& reader) {
    const archive::Version& version = reader.header().version;
    return std::to_string(version.major) + "." + std::to_string(version.minor);
}

std::string_view role_name(CodeRole role) {
    switch (role) {
        case CodeRole::entry: return "entry";
        case CodeRole::resume: return "resume";
        case CodeRole::user_function: return "user_function";
    }
    return "unknown";
}

std::string_view guard_name(GuardKind kind) {
    const GuardKindInfo* info = find_guard_kind(kind);
    return info == nullptr ? "unknown" : info->name;
}

std::size_t guard_count(const GuardProgram& program) {
    return static_cast<std::size_t>(std::count_if(program.ops().begin(), program.ops().end(), [](const GuardOp& op) {
        const GuardKindInfo* info = find_guard_kind(op.kind);
        return info != nullptr && (info->role == GuardRole::check || info->role == GuardRole::relation);
    }));
}

void print_text(const Subject& subject, Detail detail, std::ostream& out) {
    print_package(subject, out);
    print_key(subject.package.key, out);
    print_environment(subject.package.environment, out);
    print_sources(subject.package, out);
    out << "\ncodes: " << subject.package.codes.size() << '\n';
    for (const CodeEntryPtr& entry : subject.package.codes) print_entry(*entry, detail, out);
    print_artifacts(subject, detail, out);
}

}  // namespace coldframe::cli
