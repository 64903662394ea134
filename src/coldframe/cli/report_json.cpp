#include <coldframe/cli/report.hpp>
#include <coldframe/cli/text.hpp>
#include <coldframe/util/version.hpp>

#include <nlohmann/json.hpp>

#include <ostream>

namespace coldframe::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string hex(const Bytes& bytes) {
    constexpr std::string_view k_digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes) text.append(1, k_digits[byte >> 4U]).append(1, k_digits[byte & 15U]);
    return text;
}

template <typename Items, typename Convert>
Json array(const Items& items, Convert convert) {
    Json result = Json::array();
    for (const auto& item : items) result.push_back(convert(item));
    return result;
}

Json reprs(const std::vector<Value>& values) { return array(values, repr); }

template <typename Pairs, typename Convert>
Json object(const Pairs& pairs, Convert convert) {
    Json result = Json::object();
    for (const auto& [name, value] : pairs) result[name] = convert(value);
    return result;
}

Json key_json(const PackageKey& key) {
    return {{"module", key.module}, {"qualname", key.qualname}, {"code", to_hex(key.code)}, {"options", to_hex(key.options)}};
}

Json environment_json(const Environment& environment) {
    return {{"python_implementation", environment.python_implementation},
            {"python_version", environment.python_version},
            {"python_magic", environment.python_magic},
            {"soabi", environment.soabi},
            {"torch_version", environment.torch_version},
            {"torch_git", environment.torch_git},
            {"device_type", environment.device_type},
            {"machine", environment.machine},
            {"libc", environment.libc},
            {"cpu_features", environment.cpu_features},
            {"device", object(environment.device, [](const std::string& text) { return Json(text); })},
            {"settings", object(environment.settings, repr)}};
}

Json source_json(const SourceFile& source) {
    Json functions = array(source.functions, [](const SourceFunction& function) {
        return Json{{"qualname", function.qualname},
                    {"code", to_hex(function.code)},
                    {"first_line", function.first_line},
                    {"last_line", function.last_line}};
    });
    return {{"module", source.module},
            {"path_hint", source.path_hint},
            {"digest", to_hex(source.digest)},
            {"functions", std::move(functions)}};
}

Json code_json(const CodeObject& code) {
    const CodeFields& fields = code.fields();
    Json consts = array(fields.consts, [](const Value& value) {
        const auto* nested = value.get_if<CodePtr>();
        return nested != nullptr ? code_json(**nested) : Json(repr(value));
    });
    return {{"digest", to_hex(code.digest())},
            {"semantic_digest", to_hex(code.semantic_digest())},
            {"co_argcount", fields.argcount},
            {"co_posonlyargcount", fields.posonlyargcount},
            {"co_kwonlyargcount", fields.kwonlyargcount},
            {"co_nlocals", fields.nlocals},
            {"co_stacksize", fields.stacksize},
            {"co_flags", fields.flags},
            {"co_code", hex(fields.code)},
            {"co_consts", std::move(consts)},
            {"co_names", fields.names},
            {"co_varnames", fields.varnames},
            {"co_filename", fields.filename},
            {"co_name", fields.name},
            {"co_qualname", fields.qualname},
            {"co_firstlineno", fields.firstlineno},
            {"co_linetable", hex(fields.linetable)},
            {"co_exceptiontable", hex(fields.exceptiontable)},
            {"co_freevars", fields.freevars},
            {"co_cellvars", fields.cellvars}};
}

// With code objects in full, wherever they lie in it; what is no container is as repr says, and bytes in whole.
Json value_json(const Value& value) {
    if (const auto* code = value.get_if<CodePtr>()) return code_json(**code);
    if (const auto* bytes = value.get_if<Bytes>()) return hex(*bytes);
    if (const auto* tuple = value.get_if<Tuple>()) return array(tuple->items, value_json);
    if (const auto* list = value.get_if<List>()) return array(list->items, value_json);
    const auto* dict = value.get_if<Dict>();
    if (dict == nullptr) return repr(value);
    Json result = Json::object();
    for (const ValuePair& pair : dict->items) {
        const auto* name = pair.key.get_if<Str>();
        result[name != nullptr ? name->utf8 : repr(pair.key)] = value_json(pair.value);
    }
    return result;
}

Json op_json(const GuardOp& op) {
    return {{"kind", guard_name(op.kind)},    {"inputs", op.inputs}, {"result", op.result ? Json(*op.result) : Json(nullptr)},
            {"operands", reprs(op.operands)}, {"source", op.source}, {"explanations", op.explanations}};
}

Json variant_json(const GuardedCode& variant, Detail detail) {
    Json result{{"guards", guard_count(variant.guards)},
                {"ops", variant.guards.ops().size()},
                {"backend_ids", variant.backend_ids},
                {"compile_seconds", variant.compile_seconds},
                {"dynamo_code_digest", to_hex(variant.dynamo_code->digest())}};
    if (detail.guards) result["guard_program"] = array(variant.guards.ops(), op_json);
    if (detail.code) result["dynamo_code"] = code_json(*variant.dynamo_code);
    return result;
}

Json entry_json(const CodeEntry& entry, Detail detail) {
    Json globals = Json::object();
    for (const InstalledGlobal& global : entry.installed_globals) globals[global.name] = repr(global.recipe);
    Json result{{"role", role_name(entry.role)},
                {"module", entry.module},
                {"qualname", entry.python_code->fields().qualname},
                {"python_code_digest", to_hex(entry.python_code->digest())},
                {"function_names", entry.function_names},
                {"code_source", entry.code_source},
                {"backend_ids", entry.backend_ids},
                {"bypassed", entry.bypassed},
                {"bypass_reason", entry.bypass_reason},
                {"skipped", entry.skipped},
                {"import_sources", entry.import_sources},
                {"installed_globals", std::move(globals)},
                {"variants",
                 array(entry.guarded_codes, [&](const GuardedCodePtr& variant) { return variant_json(*variant, detail); })}};
    if (!detail.code) return result;
    Json& recipes = result["global_recipes"] = Json::object();
    for (const InstalledGlobal& global : entry.installed_globals) recipes[global.name] = value_json(global.recipe);
    return result;
}

Json artifact_json(const Artifact& artifact, const archive::Reader& reader, Detail detail) {
    Json blobs = array(artifact.blobs, [&](const BlobPtr& blob) {
        return Json{{"name", blob->name()},
                    {"size", blob->size()},
                    {"stored_size", stored_size(reader, *blob)},
                    {"digest", to_hex(blob->digest())}};
    });
    Json result{{"backend_id", artifact.backend_id}, {"kind", artifact.kind}, {"blobs", std::move(blobs)}};
    if (detail.code) result["recipe"] = value_json(artifact.recipe);
    return result;
}

}  // namespace

void print_json(const Subject& subject, Detail detail, std::ostream& out) {
    const Package& package = subject.package;
    const Json document{{"coldframe", k_version},
                        {"file", subject.reader.path()},
                        {"size", subject.reader.file_size()},
                        {"format", version_text(subject.reader)},
                        {"digest", to_hex(subject.reader.digest())},
                        {"producer", package.producer},
                        {"created", package.created},
                        {"compile_seconds", package.compile_seconds},
                        {"key", key_json(package.key)},
                        {"environment", environment_json(package.environment)},
                        {"sources", array(package.sources, [](const SourceFilePtr& source) { return source_json(*source); })},
                        {"codes", array(package.codes, [&](const CodeEntryPtr& entry) { return entry_json(*entry, detail); })},
                        {"artifacts", array(package.artifacts, [&](const ArtifactPtr& artifact) {
                             return artifact_json(*artifact, subject.reader, detail);
                         })}};
    // Lone surrogates have no place in JSON: they become U+FFFD.
    out << document.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace coldframe::cli
