#include <python/guard_words.hpp>

#include <python/code_codec.hpp>

#include <coldframe/util/digest.hpp>

#include <structmember.h>

#include <algorithm>
#include <string_view>

namespace coldframe::python {
namespace {

constexpr Found k_unknown = {};
constexpr Found found(PyObject* value) { return {true, value}; }

#ifdef Py_GIL_DISABLED
constexpr bool k_has_versions = false;  // others write while these are compared
#else
constexpr bool k_has_versions = true;
#endif

// Whose hash and equality run no code of Python.
bool is_plain(PyObject* value) {
    return PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyBool_Check(value) ||
           PyBytes_CheckExact(value) || value == Py_None || PyFunction_Check(value) || PyCFunction_CheckExact(value) ||
           Py_TYPE(value) == &PyType_Type;
}

bool is_constant(PyObject* value) {
    if (PyTuple_CheckExact(value)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i) {
            if (!is_constant(PyTuple_GET_ITEM(value, i))) return false;
        }
        return true;
    }
    return is_plain(value) || PyComplex_CheckExact(value);
}

bool reads_as_dict(PyObject* object) {
    const PyMappingMethods* mapping = Py_TYPE(object)->tp_as_mapping;
    return PyDict_Check(object) && mapping != nullptr && mapping->mp_subscript == PyDict_Type.tp_as_mapping->mp_subscript;
}

bool is_data_descriptor(PyObject* object) {
    return Py_TYPE(object)->tp_descr_get != nullptr && Py_TYPE(object)->tp_descr_set != nullptr;
}

PyObject* text(const char* name) {
    PyObject* interned = PyUnicode_InternFromString(name);  // lives as long as the process
    if (interned == nullptr) throw PythonError();
    return interned;
}

// What attribute hooks written in Python do, by the digest of their code.
enum class Hook : std::uint8_t { unknown, torch_module, mapped_names, layered };

Hook hook_of(PyObject* function) {
    struct Known {
        std::string_view digest;
        Hook hook;
    };
    static constexpr Known k_known[] = {
        // Of each, the bytecode of CPython 3.11, 3.12 and 3.13.
        // torch.nn.Module.__getattr__ of torch 2.13 and 2.14: an entry of the dicts _parameters, _buffers or _modules.
        {"9a71e17ad6b52641feaea848f7aeac7bbcb8b2b6a6c5fc0eecd539e5848f8731", Hook::torch_module},
        {"d0bbe14a868f3bad9063b434d72d995dde72523bf822221aef38b63d8bd15ecf", Hook::torch_module},
        {"35bc2cf1b662a6ceeec5872fc3be4417a72f6a9ad72c1de9146cadb26233cfaa", Hook::torch_module},
        // __getattribute__ of transformers' configurations: the name goes through the dict attribute_map.
        {"f6c93a358495c3ecc8d838ccf5cf3cbc5c025353f993144c82f73ab89799392b", Hook::mapped_names},
        {"7acb8c3cb7ad1b406351a5301e8c14307c53865f6590552d39dc514856dd374b", Hook::mapped_names},
        {"ccbd5c14fb99aa472798978267759c20b6419d78c2dfbcf279e42d6015616840", Hook::mapped_names},
        // ... of those that may differ by layer: as without, when there is no _heterogeneity_spec.
        {"b75a6c0067d48ff089d18048cbc21f1b1911e91cbe76df144b090b41e0aa2a05", Hook::layered},
        {"466279521c032dfd9a92dc9eea7bcec9023c18a5b3fdec41daa23e92ec144011", Hook::layered},
        {"a1375c7ec7e714e9582a5680304873c6e6385844bc0bf9fc80ef7b75726ecb61", Hook::layered},
    };
    static std::unordered_map<PyObject*, Hook> seen;  // keys are kept: they are never another code
    if (!PyFunction_Check(function)) return Hook::unknown;
    PyObject* code = PyFunction_GET_CODE(function);
    if (const auto known = seen.find(code); known != seen.end()) return known->second;
    Hook hook = Hook::unknown;
    try {
        const std::string digest = to_hex(from_code(code)->semantic_digest());
        for (const Known& known : k_known) hook = known.digest == digest ? known.hook : hook;
    } catch (const PythonError&) {
        PyErr_Clear();
    }
    seen.emplace(Py_NewRef(code), hook);
    return hook;
}

}  // namespace

bool GuardWords::hold() {
    for (std::size_t i = 0; i < words_.size(); ++i) {
        if (*words_[i].address != words_[i].expected && !repair(i)) return false;
    }
    return true;
}

bool GuardWords::repair(std::size_t word) {
    if (whole_.contains(word)) return false;
    const std::uintptr_t version = *words_[word].address;
    if (version == 0) return false;  // the dict is dead
    const auto begin = std::ranges::lower_bound(entries_, word, {}, &Entry::word);
    if (begin == entries_.end() || begin->word != word) return false;
    for (auto entry = begin; entry != entries_.end() && entry->word == word; ++entry) {
        if (PyDict_GetItemWithError(entry->dict, entry->key.get()) != entry->value || PyErr_Occurred() != nullptr) {
            PyErr_Clear();
            return false;
        }
    }
    words_[word].expected = version;
    return *words_[word].address == version;  // a key of the program's may have run code to compare itself
}

void GuardWords::seal() {
    std::ranges::stable_sort(entries_, {}, &Entry::word);
    by_address_ = {};
}

int GuardWords::traverse(visitproc visit, void* arg) const {
    for (const Ref& value : kept_) Py_VISIT(value.get());
    for (const Entry& entry : entries_) Py_VISIT(entry.key.get());
    return 0;
}

template <typename T>
std::size_t GuardWords::add(const T* address) {
    static_assert(sizeof(T) == sizeof(std::uintptr_t));
    const auto* word = reinterpret_cast<const std::uintptr_t*>(address);
    const auto [known, is_new] = by_address_.emplace(word, words_.size());
    if (is_new) words_.push_back({word, *word});
    return known->second;
}

bool GuardWords::type_of(PyObject* object) {
    add(&object->ob_type);
    return k_has_versions;
}

std::optional<std::size_t> GuardWords::version_of_dict(PyObject* dict) {
    if (!k_has_versions || !PyDict_Check(dict) || !type_of(dict)) return std::nullopt;
    DictVersion version = dict_version(dict);
    if (!version) return std::nullopt;
    const std::size_t word = add(version.get());
    if (version.use_count() != 0) versions_.push_back(std::move(version));
    return word;
}

bool GuardWords::content_of_dict(PyObject* dict) {
    const std::optional<std::size_t> version = version_of_dict(dict);
    if (version) whole_.insert(*version);
    return version.has_value();
}

// Call it after a lookup: that is what gives a type its version.
bool GuardWords::version_of_type(PyTypeObject* type) {
    if (!has_version(type)) return false;
    add(&type->tp_flags);
    add(reinterpret_cast<const std::uintptr_t*>(&type->tp_version_tag));  // 32 bits, and padding that nobody writes
    return k_has_versions;
}

bool GuardWords::length_of(PyObject* object) {
    if (!PyList_CheckExact(object) && !PyTuple_CheckExact(object)) return value_of(object);
    add(&object->ob_type);
    add(&reinterpret_cast<PyVarObject*>(object)->ob_size);
    return k_has_versions;
}

bool GuardWords::value_of(PyObject* constant) {
    if (!k_has_versions || !is_constant(constant)) return false;
    kept_.push_back(Ref::borrow(constant));
    return true;
}

bool GuardWords::code_of(PyObject* function) {
    if (!PyFunction_Check(function)) return false;
    kept_.push_back(Ref::borrow(function));
    return function_slot(function, &reinterpret_cast<PyFunctionObject*>(function)->func_code).proven;
}

Found GuardWords::dict_item(PyObject* dict, PyObject* key) {
    const std::optional<std::size_t> version = is_plain(key) ? version_of_dict(dict) : std::nullopt;
    if (!version) return k_unknown;
    PyObject* value = PyDict_GetItemWithError(dict, key);
    if (PyErr_Occurred() != nullptr) {
        PyErr_Clear();
        return k_unknown;
    }
    entries_.push_back({*version, dict, Ref::borrow(key), value});
    return found(value);
}

Found GuardWords::list_item(PyObject* list, Py_ssize_t index) {
    if (!PyList_CheckExact(list) || index < 0 || index >= PyList_GET_SIZE(list) || !type_of(list)) return k_unknown;
    add(&reinterpret_cast<PyVarObject*>(list)->ob_size);
    add(&reinterpret_cast<PyListObject*>(list)->ob_item);
    add(&reinterpret_cast<PyListObject*>(list)->ob_item[index]);
    return found(PyList_GET_ITEM(list, index));
}

Found GuardWords::tuple_item(PyObject* tuple, Py_ssize_t index) {
    if (!PyTuple_CheckExact(tuple) || index < 0 || index >= PyTuple_GET_SIZE(tuple) || !type_of(tuple)) return k_unknown;
    add(&reinterpret_cast<PyVarObject*>(tuple)->ob_size);
    add(&reinterpret_cast<PyTupleObject*>(tuple)->ob_item[index]);
    return found(PyTuple_GET_ITEM(tuple, index));
}

Found GuardWords::item(PyObject* container, PyObject* key) {
    if (PyDict_Check(container)) {
        const Found value = reads_as_dict(container) ? dict_item(container, key) : k_unknown;
        return value.value != nullptr ? value : k_unknown;
    }
    if (!PyLong_CheckExact(key)) return k_unknown;
    const Py_ssize_t index = PyLong_AsSsize_t(key);
    if (index == -1) {
        PyErr_Clear();
        return k_unknown;
    }
    return PyList_Check(container) ? list_item(container, index) : tuple_item(container, index);
}

Found GuardWords::function_slot(PyObject* function, PyObject* const* slot) {
    if (!PyFunction_Check(function) || !type_of(function)) return k_unknown;
    add(slot);
    return {k_has_versions, *slot};
}

Found GuardWords::referent(PyObject* weak_reference) {
    if (!PyWeakref_CheckRefExact(weak_reference) || !type_of(weak_reference)) return k_unknown;
    PyObject* const* slot = &reinterpret_cast<PyWeakReference*>(weak_reference)->wr_object;
    add(slot);
    return {k_has_versions, *slot};
}

Found GuardWords::method_order(PyObject* type) {
    if (!PyType_Check(type) || !type_of(type)) return k_unknown;
    PyObject* const* slot = &reinterpret_cast<PyTypeObject*>(type)->tp_mro;
    add(slot);
    return {k_has_versions && *slot != nullptr, *slot};
}

Found GuardWords::type_dict(PyObject* type) {
    if (!PyType_Check(type) || !type_of(type)) return k_unknown;
    PyObject* const* slot = &reinterpret_cast<PyTypeObject*>(type)->tp_dict;
    add(slot);
    return {k_has_versions && *slot != nullptr, *slot};
}

Found GuardWords::instance_dict(PyObject* object) {
    if (!type_of(object) || Py_TYPE(object)->tp_dictoffset == 0 || PyType_Check(object)) return k_unknown;
    PyObject** slot = _PyObject_GetDictPtr(object);
    if (slot == nullptr) return k_unknown;
    add(slot);
    return found(*slot);
}

Found GuardWords::attribute(PyObject* object, PyObject* name) {
    if (!k_has_versions || !PyUnicode_CheckExact(name)) return k_unknown;
    if (PyModule_CheckExact(object)) return module_attribute(object, name);
    if (PyType_Check(object)) return type_attribute(object, name);
    if (PyCell_Check(object)) {
        static PyObject* const k_contents = text("cell_contents");
        PyObject* const* slot = &reinterpret_cast<PyCellObject*>(object)->ob_ref;
        if (PyUnicode_Compare(name, k_contents) != 0 || *slot == nullptr || !type_of(object)) return k_unknown;
        add(slot);
        return found(*slot);
    }
    if (Py_TYPE(object)->tp_getattro == PyObject_GenericGetAttr) return generic_attribute(object, name);
    return hooked_attribute(object, name);
}

Found GuardWords::generic_attribute(PyObject* object, PyObject* name) {
    static PyObject* const k_class = text("__class__");
    PyTypeObject* type = Py_TYPE(object);
    PyObject* of_type = _PyType_Lookup(type, name);
    if (!type_of(object) || !version_of_type(type) || !stays_what_it_is(of_type)) return k_unknown;
    if (of_type != nullptr && is_data_descriptor(of_type)) {
        if (of_type == _PyType_Lookup(&PyBaseObject_Type, k_class)) return found(reinterpret_cast<PyObject*>(type));
        if (Py_TYPE(of_type) == &PyProperty_Type) return {false, nullptr, proven_getter(of_type)};
        return slot_attribute(object, of_type);
    }
    if (type->tp_dictoffset != 0) {
        const Found dict = instance_dict(object);
        if (!dict.proven) return k_unknown;
        if (dict.value != nullptr) {
            const Found value = dict_item(dict.value, name);
            if (!value.proven || value.value != nullptr) return value;
        }
    }
    if (of_type != nullptr && Py_TYPE(of_type)->tp_descr_get != nullptr) return k_unknown;  // makes a new object
    return found(of_type);
}

// Whether what a class has under a name is a descriptor, and of which kind, is decided by its own class.
bool GuardWords::stays_what_it_is(PyObject* attribute) {
    static PyObject* const k_get = text("__get__");
    if (attribute == nullptr || !PyType_HasFeature(Py_TYPE(attribute), Py_TPFLAGS_HEAPTYPE)) return true;
    if (_PyType_Lookup(Py_TYPE(attribute), k_get) == nullptr) PyErr_Clear();  // which gives the class its version
    return type_of(attribute) && version_of_type(Py_TYPE(attribute));
}

bool GuardWords::proven_getter(PyObject* property) {
    static PyObject* const k_fget = text("fget");
    const Found getter = generic_attribute(property, k_fget);
    return getter.proven && getter.value != nullptr && code_of(getter.value);
}

// A pointer in the object: __slots__, a property's fget, the attributes of a function.
Found GuardWords::slot_attribute(PyObject* object, PyObject* descriptor) {
    static PyObject* const k_defaults = text("__defaults__");
    static PyObject* const k_kwdefaults = text("__kwdefaults__");
    static PyObject* const k_code = text("__code__");
    PyObject* const* slot = nullptr;
    if (PyObject_TypeCheck(descriptor, &PyMemberDescr_Type)) {
        const PyMemberDef* member = reinterpret_cast<PyMemberDescrObject*>(descriptor)->d_member;
        if (member->type != T_OBJECT && member->type != T_OBJECT_EX) return k_unknown;
        if (!PyObject_TypeCheck(object, reinterpret_cast<PyDescrObject*>(descriptor)->d_type)) return k_unknown;
        slot = reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + member->offset);
        if (*slot == nullptr && member->type == T_OBJECT_EX) return k_unknown;
    } else if (PyFunction_Check(object) && PyObject_TypeCheck(descriptor, &PyGetSetDescr_Type)) {
        auto* function = reinterpret_cast<PyFunctionObject*>(object);
        PyObject* name = reinterpret_cast<PyDescrObject*>(descriptor)->d_name;
        if (PyUnicode_Compare(name, k_defaults) == 0) slot = &function->func_defaults;
        if (PyUnicode_Compare(name, k_kwdefaults) == 0) slot = &function->func_kwdefaults;
        if (PyUnicode_Compare(name, k_code) == 0) slot = &function->func_code;
    }
    if (slot == nullptr) return k_unknown;
    add(slot);
    return found(*slot != nullptr ? *slot : Py_None);
}

Found GuardWords::module_attribute(PyObject* module, PyObject* name) {
    PyObject* of_type = _PyType_Lookup(&PyModule_Type, name);
    if (of_type != nullptr && is_data_descriptor(of_type)) return k_unknown;
    const Found dict = instance_dict(module);
    if (!dict.proven || dict.value == nullptr) return k_unknown;
    const Found value = dict_item(dict.value, name);
    return value.value != nullptr ? value : k_unknown;  // the module may have a __getattr__
}

Found GuardWords::type_attribute(PyObject* object, PyObject* name) {
    auto* type = reinterpret_cast<PyTypeObject*>(object);
    PyTypeObject* metaclass = Py_TYPE(object);
    if (metaclass->tp_getattro != PyType_Type.tp_getattro) return k_unknown;
    PyObject* of_metaclass = _PyType_Lookup(metaclass, name);
    PyObject* value = _PyType_Lookup(type, name);
    if (!type_of(object) || !version_of_type(metaclass) || !version_of_type(type)) return k_unknown;
    if (!stays_what_it_is(of_metaclass) || !stays_what_it_is(value)) return k_unknown;
    if (of_metaclass != nullptr && (value == nullptr || is_data_descriptor(of_metaclass))) return k_unknown;
    // Functions of a class, of Python and of C, are given as they are; anything else that is bound may be new each time.
    if (value != nullptr && Py_TYPE(value)->tp_descr_get != nullptr && !PyFunction_Check(value) &&
        Py_TYPE(value) != &PyWrapperDescr_Type && Py_TYPE(value) != &PyMethodDescr_Type) {
        return k_unknown;
    }
    return found(value);
}

// Of a class with __getattr__ or __getattribute__.
Found GuardWords::hooked_attribute(PyObject* object, PyObject* name) {
    static PyObject* const k_getattr = text("__getattr__");
    PyTypeObject* type = Py_TYPE(object);
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) return k_unknown;
    PyObject* getattr = _PyType_Lookup(type, k_getattr);
    if (!type_of(object) || !version_of_type(type)) return k_unknown;
    const Found value = attribute_by_order(object, name, 0);
    if (!value.proven || value.value != nullptr || getattr == nullptr) return value;
    if (hook_of(getattr) != Hook::torch_module || !proven_code(getattr)) return k_unknown;
    return of_torch_module(object, name);
}

// By __getattribute__ of the classes in the order of methods, each of which asks the next one.
Found GuardWords::attribute_by_order(PyObject* object, PyObject* name, Py_ssize_t from) {
    static PyObject* const k_getattribute = text("__getattribute__");
    static PyObject* const k_map = text("attribute_map");
    static PyObject* const k_layers = text("_heterogeneity_spec");
    PyObject* order = Py_TYPE(object)->tp_mro;
    PyObject* hook = nullptr;
    PyTypeObject* owner = nullptr;
    for (; hook == nullptr && from < PyTuple_GET_SIZE(order); ++from) {
        owner = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(order, from));
        hook = owner->tp_dict != nullptr ? PyDict_GetItemWithError(owner->tp_dict, k_getattribute) : nullptr;
    }
    if (hook == nullptr) return k_unknown;
    if (owner == &PyBaseObject_Type) return generic_attribute(object, name);
    const Hook kind = hook_of(hook);
    if ((kind != Hook::mapped_names && kind != Hook::layered) || !proven_code(hook)) return k_unknown;
    if (kind == Hook::layered) {
        const Found dict = instance_dict(object);
        if (!dict.proven || dict.value == nullptr) return k_unknown;
        const Found layers = dict_item(dict.value, k_layers);
        if (!layers.proven || (layers.value != nullptr && layers.value != Py_None)) return k_unknown;
        return attribute_by_order(object, name, from);
    }
    if (PyUnicode_Compare(name, k_map) == 0) return attribute_by_order(object, name, from);
    const Found map = attribute_by_order(object, k_map, from);
    if (!map.proven || map.value == nullptr || !PyDict_CheckExact(map.value)) return k_unknown;
    const Found mapped = dict_item(map.value, name);
    if (!mapped.proven || mapped.value == nullptr) return mapped.proven ? attribute_by_order(object, name, from) : k_unknown;
    if (!PyUnicode_CheckExact(mapped.value) || !value_of(mapped.value)) return k_unknown;
    return attribute_by_order(object, mapped.value, from);
}

// A hook that the class has keeps its code, and `super` is the builtin.
bool GuardWords::proven_code(PyObject* hook) {
    static PyObject* const k_super = text("super");
    const Found super = dict_item(PyFunction_GET_GLOBALS(hook), k_super);
    return code_of(hook) && super.proven && super.value == nullptr;
}

Found GuardWords::of_torch_module(PyObject* module, PyObject* name) {
    static PyObject* const k_dicts[] = {text("_parameters"), text("_buffers"), text("_modules")};
    const Found dict = instance_dict(module);
    if (!dict.proven || dict.value == nullptr) return k_unknown;
    for (PyObject* each : k_dicts) {
        const Found entries = dict_item(dict.value, each);
        if (!entries.proven) return k_unknown;
        if (entries.value == nullptr) continue;
        if (!reads_as_dict(entries.value)) return k_unknown;
        const Found value = dict_item(entries.value, name);
        if (!value.proven || value.value != nullptr) return value;
    }
    return found(nullptr);
}

}  // namespace coldframe::python
