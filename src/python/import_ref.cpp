// How a name is found. What kind of object it is says where to look first: a module is looked up in sys.modules, an enum
// member under its class, torch's dtypes and operators under the name they print, a code object under the function that owns
// it. Everything else says itself where it comes from (__module__ and __qualname__, __objclass__, __self__); as that is
// often wrong for builtins, well-known modules are scanned last. Each candidate must yield the object.
//
// Only names that an object claims for itself count. A variable that happens to hold it (`handler = make_handler()`) does not:
// in another process it may hold another object, and a guard on that identity would always hold. A class may have another name
// in the module that it claims, for what a class is made of is compared as well.
#include <python/import_ref.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace coldframe::python {

namespace {

using Found = std::optional<ImportRef>;

constexpr std::array k_scanned_modules = {"builtins",
                                          "itertools",
                                          "typing",
                                          "torch",
                                          "torch._C",
                                          "torch._C._nn",
                                          "torch.nn.functional",
                                          "torch.functional",
                                          "torch._C._linalg",
                                          "torch._C._fft",
                                          "torch._C._special",
                                          "torch._VF"};
// Where the types without a name of their own have one.
constexpr std::array k_type_modules = {"types", "_collections_abc", "coldframe.torch.values"};
// What a decorator may have put in front of a function.
constexpr std::array k_wrapper_attributes = {"__wrapped__", "__func__", "fget", "fset", "fdel", "func"};
constexpr int k_most_wrappers = 6;

std::string join(const std::string& prefix, std::string_view name) {
    return prefix.empty() ? std::string(name) : prefix + "." + std::string(name);
}

std::string string_attribute(PyObject* object, const char* name) {
    Ref attribute = find_attribute(object, name);
    return attribute && PyUnicode_Check(attribute.get()) ? to_utf8(attribute.get()) : std::string();
}

std::string printed(PyObject* object, PyObject* (*print)(PyObject*)) {
    Ref text = Ref::steal(print(object));
    if (text) return to_utf8(text.get());
    PyErr_Clear();
    return {};
}

Ref find_module(const std::string& name) { return python::find_module(from_utf8(name).get()); }

// One step of a walk. A private name of a class is stored mangled: `name` becomes what was found.
Ref step(PyObject* object, std::string& name) {
    Ref attribute = from_utf8(name);
    // What a module makes on demand (its __getattr__) may import the world: look only at what is there.
    if (PyModule_Check(object) && PyDict_GetItemWithError(PyModule_GetDict(object), attribute.get()) == nullptr) return {};
    Ref next = find_attribute(object, attribute.get());
    if (next || !PyType_Check(object) || !name.starts_with("__") || name.ends_with("__")) return next;
    std::string owner = string_attribute(object, "__name__");
    owner.erase(0, owner.find_first_not_of('_'));
    std::string mangled = "_" + owner + name;
    next = find_attribute(object, from_utf8(mangled).get());
    if (next) name = std::move(mangled);
    return next;
}

// What the dotted name yields, or null; private names in it are replaced by the stored ones.
Ref walk(Ref object, std::string& qualname) {
    std::string walked;
    for (std::size_t begin = 0; object && begin < qualname.size();) {
        const std::size_t end = std::min(qualname.find('.', begin), qualname.size());
        std::string name = qualname.substr(begin, end - begin);
        object = step(object.get(), name);
        walked = join(walked, name);
        begin = end + 1;
    }
    if (object) qualname = std::move(walked);
    return object;
}

// The attributes that lead from what a name yields to the function or code object behind decorators.
std::optional<std::string> unwrap(PyObject* found, PyObject* object, int wrappers_left) {
    if (found == object) return "";
    if (PyModule_Check(found) || PyType_Check(found) || wrappers_left == 0) return std::nullopt;
    if (PyCode_Check(object) && PyFunction_Check(found) && PyFunction_GET_CODE(found) == object) return "__code__";
    for (const char* attribute : k_wrapper_attributes) {
        Ref inner = find_attribute(found, attribute);
        if (!inner || inner.get() == found || inner.get() == Py_None) continue;
        if (auto rest = unwrap(inner.get(), object, wrappers_left - 1)) {
            return rest->empty() ? attribute : attribute + ("." + *rest);
        }
    }
    return std::nullopt;
}

Found under(const Ref& module, const std::string& module_name, std::string qualname, PyObject* object) {
    if (!module || qualname.empty() || qualname.find('<') != std::string::npos) return std::nullopt;
    Ref found = walk(module, qualname);
    if (!found) return std::nullopt;
    if (found.get() == object) return ImportRef{module_name, qualname};
    if (!PyFunction_Check(object) && !PyCode_Check(object)) return std::nullopt;
    if (auto rest = unwrap(found.get(), object, k_most_wrappers)) return ImportRef{module_name, join(qualname, *rest)};
    return std::nullopt;
}

Found under(const std::string& module_name, std::string qualname, PyObject* object) {
    if (module_name.empty()) return std::nullopt;
    return under(find_module(module_name), module_name, std::move(qualname), object);
}

Found under_object(PyObject* owner, const std::string& name, PyObject* object) {
    Result<ImportRef> reference = find_import_ref(owner);
    if (!reference) return std::nullopt;
    return under(reference->module, join(reference->qualname, name), object);
}

// A global of the module that is the object, whatever its name.
Found among_globals(const std::string& module_name, PyObject* object) {
    Ref module = find_module(module_name);
    if (!module || !PyModule_Check(module.get())) return std::nullopt;
    PyObject* name = nullptr;
    PyObject* value = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(PyModule_GetDict(module.get()), &position, &name, &value) != 0) {
        if (value == object && PyUnicode_Check(name)) return ImportRef{module_name, to_utf8(name)};
    }
    return std::nullopt;
}

Found find_module_ref(PyObject* object) {
    Ref name = Ref::steal(PyModule_GetNameObject(object));
    if (!name) {
        PyErr_Clear();
        return std::nullopt;
    }
    const std::string text = to_utf8(name.get());
    if (find_module(text).get() == object) return ImportRef{text, ""};
    for (std::size_t dot = text.find('.'); dot != std::string::npos; dot = text.find('.', dot + 1)) {
        if (Found found = under(text.substr(0, dot), text.substr(dot + 1), object)) return found;
    }
    return std::nullopt;
}

// torch's dtypes, layouts, memory formats and operators print the path under which they are found.
Found find_torch_ref(PyObject* object) {
    const std::string type_module = string_attribute(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__module__");
    if (type_module == "torch") {
        const std::string repr = printed(object, PyObject_Repr);
        return repr.starts_with("torch.") ? under("torch", repr.substr(6), object) : std::nullopt;
    }
    const std::string module = string_attribute(object, "__module__");
    if (type_module != "torch._ops" && !module.starts_with("torch.ops")) return std::nullopt;
    const std::string name = printed(object, PyObject_Str);
    if (Found found = under("torch", "ops." + name, object)) return found;
    return under("torch", "ops.higher_order." + name, object);
}

std::vector<Ref> all_modules() {
    std::vector<Ref> modules;
    PyObject* name = nullptr;
    PyObject* module = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(PyImport_GetModuleDict(), &position, &name, &module) != 0) {
        if (PyModule_Check(module)) modules.push_back(Ref::borrow(module));
    }
    return modules;
}

// The code object of an importable function: first in the modules of its own file, then in all that know the name.
Found find_code_ref(PyObject* code) {
    std::string qualname = string_attribute(code, k_code_has_qualname ? "co_qualname" : "co_name");
    const std::string first = qualname.substr(0, qualname.find('.'));
    Ref file = find_attribute(code, "co_filename");
    Ref file_key = from_utf8("__file__");
    Ref first_key = from_utf8(first);
    for (const bool same_file : {true, false}) {
        for (const Ref& module : all_modules()) {
            PyObject* globals = PyModule_GetDict(module.get());
            if (PyDict_GetItemWithError(globals, first_key.get()) == nullptr) continue;
            PyObject* module_file = PyDict_GetItemWithError(globals, file_key.get());
            const bool is_same = module_file != nullptr && PyUnicode_Check(module_file) && file &&
                                 PyUnicode_Compare(module_file, file.get()) == 0;
            if (is_same != same_file) continue;
            Ref module_name = Ref::steal(PyModule_GetNameObject(module.get()));
            if (!module_name) {
                PyErr_Clear();
                continue;
            }
            const std::string name = to_utf8(module_name.get());
            if (find_module(name).get() != module.get()) continue;
            if (Found found = under(module, name, qualname, code)) return found;
        }
    }
    return std::nullopt;
}

// The metaclass and the base of pybind11's classes name a module that there is not: those of a class of torch.
Found find_pybind_ref(PyObject* object) {
    constexpr std::string_view k_module = "torch._C";
    Ref module = find_module(std::string(k_module));
    if (!module || !PyModule_Check(module.get())) return std::nullopt;
    PyObject* name = nullptr;
    PyObject* value = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(PyModule_GetDict(module.get()), &position, &name, &value) != 0) {
        if (!PyType_Check(value) || !PyUnicode_Check(name)) continue;
        for (const char* attribute : {"__class__", "__base__"}) {
            if (find_attribute(value, attribute).get() == object)
                return ImportRef{std::string(k_module), join(to_utf8(name), attribute)};
        }
    }
    return std::nullopt;
}

Found find_by_own_word(PyObject* object) {
    const std::string module = string_attribute(object, "__module__");
    const std::string name = string_attribute(object, "__name__");
    const std::string qualname = string_attribute(object, "__qualname__");
    if (Found found = under(module, qualname.empty() ? name : qualname, object)) return found;
    if (name.empty()) return std::nullopt;
    for (const char* attribute : {"__objclass__", "__self__"}) {
        Ref owner = find_attribute(object, attribute);
        if (!owner || (!PyModule_Check(owner.get()) && !PyType_Check(owner.get())) || owner.get() == object) continue;
        if (Found found = under_object(owner.get(), name, object)) return found;
    }
    if (PyType_Check(object)) {
        if (qualname.find_first_of("<.") == std::string::npos && module != "builtins") {
            if (Found found = among_globals(module, object)) return found;
        }
        for (const char* scanned : k_type_modules) {
            if (Found found = among_globals(scanned, object)) return found;
        }
        if (module == "pybind11_builtins") return find_pybind_ref(object);
    }
    for (const char* scanned : k_scanned_modules) {
        if (Found found = under(scanned, name, object)) return found;
    }
    return std::nullopt;
}

bool is_builtin_singleton(PyObject* object) {
    return object == Py_None || object == Py_True || object == Py_False || object == Py_Ellipsis || object == Py_NotImplemented;
}

Found find(PyObject* object) {
    if (PyModule_Check(object)) return find_module_ref(object);
    if (PyCode_Check(object)) return find_code_ref(object);
    if (is_builtin_singleton(object)) return ImportRef{"builtins", printed(object, PyObject_Repr)};
    if (is_enum_member(object)) {
        const std::string name = string_attribute(object, "name");
        PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(object));
        if (Found found = name.empty() ? std::nullopt : under_object(type, name, object)) return found;
    }
    if (Found found = find_torch_ref(object)) return found;
    return find_by_own_word(object);
}

std::string reason(PyObject* object) {
    const std::string qualname =
        string_attribute(object, PyCode_Check(object) && k_code_has_qualname ? "co_qualname" : "__qualname__");
    const std::string module = string_attribute(object, "__module__");
    if (qualname.find("<locals>") != std::string::npos) {
        return "it is made inside a function (" + join(module, qualname) + "), so importing cannot yield it";
    }
    if (qualname.empty()) return "it has no name under which importing could yield it";
    std::string walked = qualname;
    Ref found = module.empty() ? Ref() : walk(find_module(module), walked);
    if (found) return "importing " + join(module, qualname) + " yields another object";
    return "importing " + join(module, qualname) + " yields nothing";
}

// What find() gives references to: what has a name of its own, and what torch prints as one. Any other object that a name
// leads to is state of the process, which no package may have.
bool has_own_name(PyObject* object) {
    if (PyModule_Check(object) || PyType_Check(object) || PyCode_Check(object) || is_builtin_singleton(object)) return true;
    if (is_enum_member(object)) return true;
    const std::string type_module = string_attribute(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__module__");
    if (type_module == "torch" || type_module == "torch._ops") return true;
    return !string_attribute(object, "__name__").empty() || !string_attribute(object, "__qualname__").empty();
}

}  // namespace

bool is_enum_class(PyObject* object) {
    if (std::string_view(Py_TYPE(object)->tp_name) == "pybind11_type") {
        Ref members = find_attribute(object, "__members__");
        return members && PyDict_Check(members.get());
    }
    static PyObject* const name = PyUnicode_InternFromString("enum");
    Ref module = python::find_module(name);
    if (!module) return false;
    Ref meta = find_attribute(module.get(), "EnumMeta");
    return meta && PyType_Check(meta.get()) &&
           PyType_IsSubtype(Py_TYPE(object), reinterpret_cast<PyTypeObject*>(meta.get())) != 0;
}

bool is_enum_member(PyObject* object) { return is_enum_class(reinterpret_cast<PyObject*>(Py_TYPE(object))); }

Result<ImportRef> find_import_ref(PyObject* object) {
    if (Found found = find(object)) return std::move(*found);
    return fail(ErrorCode::not_portable, reason(object));
}

bool yields(const ImportRef& reference, PyObject* object) {
    std::string qualname = reference.qualname;
    return walk(find_module(reference.module), qualname).get() == object;
}

Ref resolve(const ImportRef& reference) {
    const std::string shown = join(reference.module, reference.qualname);
    Ref name = from_utf8(reference.module);
    Ref top = Ref::steal(PyImport_ImportModuleLevelObject(name.get(), nullptr, nullptr, nullptr, 0));
    Ref object = top ? python::find_module(name.get()) : Ref();
    if (!object) {
        raise({ErrorCode::incompatible, "module " + reference.module + " cannot be imported here", "resolving " + shown});
    }
    const std::string& qualname = reference.qualname;
    for (std::size_t begin = 0; begin < qualname.size();) {
        const std::size_t end = std::min(qualname.find('.', begin), qualname.size());
        Ref attribute = from_utf8(std::string_view(qualname).substr(begin, end - begin));
        object = Ref::steal(PyObject_GetAttr(object.get(), attribute.get()));
        if (!object) {
            raise({ErrorCode::incompatible, "there is no " + qualname.substr(0, end) + " in module " + reference.module,
                   "resolving " + shown});
        }
        begin = end + 1;
    }
    if (has_own_name(object.get())) return object;
    raise({ErrorCode::incompatible,
           shown + " is a " + type_name(Py_TYPE(object.get())) + ", which packages do not refer to",
           {}});
}

}  // namespace coldframe::python
