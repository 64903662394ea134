#include <python/records.hpp>

#include <python/object_codec.hpp>

#include <algorithm>

namespace coldframe::python {

namespace {

struct TextField {
    std::string_view name;
    std::string Environment::* member;
};

constexpr TextField k_text_fields[] = {
    {"python_implementation", &Environment::python_implementation},
    {"python_version", &Environment::python_version},
    {"python_magic", &Environment::python_magic},
    {"soabi", &Environment::soabi},
    {"torch_version", &Environment::torch_version},
    {"torch_git", &Environment::torch_git},
    {"device_type", &Environment::device_type},
    {"machine", &Environment::machine},
    {"libc", &Environment::libc},
};

[[noreturn]] void refuse(std::string_view field, const char* problem) {
    raise({ErrorCode::invalid_argument, "environment field '" + std::string(field) + "' " + problem, {}});
}

void set_item(const Ref& dict, std::string_view name, const Ref& value) {
    check(PyDict_SetItem(dict.get(), from_utf8(name).get(), value.get()));
}

std::string text_of(std::string_view field, const Value& value) {
    const Str* text = value.get_if<Str>();
    if (text == nullptr) refuse(field, "is not a str");
    return text->utf8;
}

const std::vector<ValuePair>& pairs_of(std::string_view field, const Value& value) {
    const Dict* dict = value.get_if<Dict>();
    if (dict == nullptr) refuse(field, "is not a dict");
    return dict->items;
}

void set_field(Environment& environment, const std::string& name, const Value& value) {
    const auto* text = std::ranges::find(k_text_fields, name, &TextField::name);
    if (text != std::end(k_text_fields)) {
        environment.*text->member = text_of(name, value);
    } else if (name == "cpu_features") {
        const List* list = value.get_if<List>();
        if (list == nullptr) refuse(name, "is not a list");
        for (const Value& item : list->items) environment.cpu_features.push_back(text_of(name, item));
    } else if (name == "device") {
        for (const auto& [key, item] : pairs_of(name, value)) environment.device[text_of(name, key)] = text_of(name, item);
    } else if (name == "settings") {
        for (const auto& [key, item] : pairs_of(name, value)) environment.settings[text_of(name, key)] = item;
    } else {
        refuse(name, "is unknown");
    }
}

}  // namespace

Ref environment_to_dict(const Environment& environment) {
    Ref dict = owned(PyDict_New());
    for (const TextField& field : k_text_fields) set_item(dict, field.name, from_utf8(environment.*field.member));
    Ref features = owned(PyList_New(0));
    for (const std::string& feature : environment.cpu_features) {
        check(PyList_Append(features.get(), from_utf8(feature).get()));
    }
    set_item(dict, "cpu_features", features);
    Ref device = owned(PyDict_New());
    for (const auto& [name, value] : environment.device) set_item(device, name, from_utf8(value));
    set_item(dict, "device", device);
    Ref settings = owned(PyDict_New());
    for (const auto& [name, value] : environment.settings) set_item(settings, name, to_python(value, References::kept));
    set_item(dict, "settings", settings);
    return dict;
}

Environment environment_from_dict(PyObject* dict) {
    const Value value = to_dict_value(dict, "environment");
    Environment environment;
    for (const auto& [name, item] : value.get_if<Dict>()->items) set_field(environment, name.get_if<Str>()->utf8, item);
    return environment;
}

Value to_dict_value(PyObject* mapping, std::string_view root) {
    Ref dict = owned(PyDict_New());
    check(PyDict_Update(dict.get(), mapping));
    Value value = to_value(dict.get(), root);
    for (const ValuePair& pair : value.get_if<Dict>()->items) {
        if (pair.key.get_if<Str>() == nullptr) {
            raise({ErrorCode::invalid_argument, std::string(root) + " has a key that is not a str", {}});
        }
    }
    return value;
}

Ref globals_to_dict(const std::vector<InstalledGlobal>& globals) {
    Ref dict = owned(PyDict_New());
    for (const auto& [name, recipe] : globals) set_item(dict, name, to_python(recipe, References::kept));
    return dict;
}

std::vector<InstalledGlobal> globals_from_dict(PyObject* dict) {
    const Value value = to_dict_value(dict, "installed_globals");
    std::vector<InstalledGlobal> globals;
    for (const auto& [name, recipe] : value.get_if<Dict>()->items) globals.push_back({name.get_if<Str>()->utf8, recipe});
    return globals;
}

Digest to_digest(PyObject* bytes) {
    const Bytes content = to_bytes(bytes);
    Digest digest{};
    if (content.size() != digest.size()) raise({ErrorCode::invalid_argument, "a digest has 32 bytes", {}});
    std::ranges::copy(content, digest.begin());
    return digest;
}

std::string_view name_of(CodeRole role) {
    switch (role) {
        case CodeRole::entry: return "entry";
        case CodeRole::resume: return "resume";
        case CodeRole::user_function: return "user_function";
    }
    return "";
}

CodeRole to_code_role(std::string_view name) {
    for (const CodeRole role : {CodeRole::entry, CodeRole::resume, CodeRole::user_function}) {
        if (name_of(role) == name) return role;
    }
    raise({ErrorCode::invalid_argument, "a role is entry, resume or user_function, not '" + std::string(name) + "'", {}});
}

Package snapshot(const Package& package) {
    Package copy = package;
    for (CodeEntryPtr& code : copy.codes) code = std::make_shared<CodeEntry>(*code);
    return copy;
}

}  // namespace coldframe::python
