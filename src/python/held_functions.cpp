#include <python/frame_listener.hpp>
#include <python/held_functions.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace coldframe::python {
namespace {

constexpr std::string_view k_cached = "functools._lru_cache_wrapper";
constexpr std::array<std::string_view, 3> k_wrappers = {k_cached, "functools.partial", "cached_property"};

std::size_t hash_of(const void* address) {
    return (reinterpret_cast<std::uintptr_t>(address) >> 4U) * 0x9E3779B97F4A7C15U >> 20U;
}

// What is called, or read, as the functions that it is made of.
bool is_wrapper(const PyTypeObject* type) {
    return type == &PyCell_Type || type == &PyProperty_Type || type == &PyStaticMethod_Type || type == &PyClassMethod_Type ||
           type == &PyMethod_Type || std::ranges::find(k_wrappers, std::string_view(type->tp_name)) != k_wrappers.end();
}

bool is_empty(PyObject* object) {
    if (PyDict_CheckExact(object)) return PyDict_GET_SIZE(object) == 0;
    return (PyList_CheckExact(object) || PyTuple_CheckExact(object)) && Py_SIZE(object) == 0;
}

// Globals that Dynamo gives the code of a module that it has compiled: "__compiled_fn_1", "__resume_at_8_2".
bool is_generated(std::string_view name) { return name.starts_with("__") && !name.ends_with("__"); }

PyObject* text_of(PyObject* dict, const char* name) {
    PyObject* text = dict == nullptr ? nullptr : PyDict_GetItemString(dict, name);
    return text != nullptr && PyUnicode_Check(text) ? text : nullptr;
}

}  // namespace

bool Addresses::insert(const void* address) {
    if (size_ * 2 > slots_.size()) {
        std::vector<const void*> old(slots_.size() * 2);
        old.swap(slots_);
        for (const void* each : old) {
            if (each != nullptr) slot_of(each) = each;
        }
    }
    const void*& slot = slot_of(address);
    if (slot != nullptr) return false;
    slot = address;
    ++size_;
    return true;
}

const void*& Addresses::slot_of(const void* address) {
    std::size_t index = hash_of(address) % slots_.size();
    while (slots_[index] != nullptr && slots_[index] != address) index = (index + 1) % slots_.size();
    return slots_[index];
}

Ref HeldFunctions::find() {
    found_ = owned(PyList_New(0));
    // In the order of names: which way leads to an object first is the same in every process.
    std::vector<std::pair<std::string, PyObject*>> parts;
    PyObject* name = nullptr;
    PyObject* module = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(PyImport_GetModuleDict(), &position, &name, &module) != 0) {
        if (!PyUnicode_Check(name) || !PyModule_Check(module) || !modules_.has(to_utf8(name))) continue;
        PyObject* file = text_of(PyModule_GetDict(module), "__file__");
        // Code that the compiler generates and imports under its own name is nobody's act.
        if (file == nullptr || !files_.has(to_utf8(file))) parts.emplace_back(to_utf8(name), module);
    }
    std::ranges::sort(parts, std::greater());
    for (const auto& part : parts) {
        position = 0;
        PyObject* value = nullptr;
        while (PyDict_Next(PyModule_GetDict(part.second), &position, &name, &value) != 0) {
            if (PyUnicode_Check(name) && !is_generated(to_utf8(name))) push({value, name, nullptr});
        }
    }
    while (!waiting_.empty()) {
        const Item next = waiting_.back();
        waiting_.pop_back();
        follow(next);
    }
    return std::move(found_);
}

void HeldFunctions::push(const Item& item) {
    const Kind kind = kind_of(Py_TYPE(item.object));
    if (kind == Kind::plain || is_empty(item.object)) return;
    if (kind == Kind::container && item.is_result) return;
    if (kind == Kind::function) {
        const auto* function = reinterpret_cast<PyFunctionObject*>(item.object);
        if (function->func_closure == nullptr && function->func_dict == nullptr && !is_of_program(item.object)) return;
    }
    waiting_.push_back(item);
}

void HeldFunctions::follow(const Item& item) {
    if (PyFunction_Check(item.object) && is_of_program(item.object)) {
        report(item.key, item.entry == nullptr ? item.object : item.entry);
        return;
    }
    if (!met_.insert(item.object)) {
        // Under another key: all that it led to has been followed.
        if (item.entry == nullptr && leading_.contains(item.object)) report(item.key, item.object);
        return;
    }
    switch (kind_of(Py_TYPE(item.object))) {
        case Kind::function: follow_function(item); break;
        case Kind::dict:  // the globals of a module are no table
            if (PyDict_GetItemString(item.object, "__builtins__") == nullptr) {
                follow_dict(item.object, {.is_result = item.is_result});
            }
            break;
        case Kind::wrapper:
            follow_parts(item, item.entry == nullptr && !PyCell_Check(item.object) ? item.object : item.entry);
            break;
        case Kind::type: {
            const auto* type = reinterpret_cast<PyTypeObject*>(item.object);
            if (is_of_torch(type)) follow_dict(type->tp_dict, {});
            break;
        }
        case Kind::container:
        case Kind::instance: follow_parts(item, nullptr); break;
        case Kind::plain: break;
    }
}

void HeldFunctions::report(PyObject* key, PyObject* what) {
    leading_.insert(what);
    const Ref pair = owned(PyTuple_Pack(2, key == nullptr ? Py_None : key, what));
    check(PyList_Append(found_.get(), pair.get()));
}

void HeldFunctions::follow_function(const Item& item) {
    Item within{item.object, item.key, item.entry == nullptr ? item.object : item.entry};
    const auto* function = reinterpret_cast<PyFunctionObject*>(item.object);
    for (Py_ssize_t index = function->func_closure == nullptr ? 0 : Py_SIZE(function->func_closure); index-- > 0;) {
        within.object = PyTuple_GET_ITEM(function->func_closure, index);
        push(within);
    }
    if (function->func_dict != nullptr) follow_dict(function->func_dict, within);
}

void HeldFunctions::follow_dict(PyObject* dict, const Item& of) {
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &value) != 0) {
        if (!PyLong_CheckExact(key)) push({value, of.entry == nullptr ? key : of.key, of.entry, of.is_result});
    }
}

void HeldFunctions::follow_parts(const Item& item, PyObject* entry) {
    parent_ = {item.object, item.key, entry, Py_TYPE(item.object)->tp_name == k_cached};
    const traverseproc traverse = Py_TYPE(item.object)->tp_traverse;
    if (traverse != nullptr && traverse(item.object, &HeldFunctions::visit, this) != 0) throw std::bad_alloc();
}

int HeldFunctions::visit(PyObject* object, void* self) noexcept {
    auto* search = static_cast<HeldFunctions*>(self);
    const Item& parent = search->parent_;
    // Types of objects are found by their modules.
    if (object == reinterpret_cast<PyObject*>(Py_TYPE(parent.object))) return 0;
    try {
        search->push({object, parent.key, parent.entry, parent.is_result});
        return 0;
    } catch (const std::exception&) {
        return -1;
    }
}

HeldFunctions::Kind HeldFunctions::kind_of(PyTypeObject* type) {
    auto& [known, kind] = kinds_[hash_of(type) % kinds_.size()];
    if (known == type) return kind;
    known = type;
    if (type == &PyFunction_Type) {
        kind = Kind::function;
    } else if (PyType_FastSubclass(type, Py_TPFLAGS_DICT_SUBCLASS)) {
        kind = Kind::dict;
    } else if (PyType_FastSubclass(type, Py_TPFLAGS_TYPE_SUBCLASS)) {
        kind = Kind::type;
    } else if (type == &PyList_Type || type == &PyTuple_Type || type == &PySet_Type || type == &PyFrozenSet_Type) {
        kind = Kind::container;
    } else if (is_wrapper(type)) {
        kind = Kind::wrapper;
    } else {
        kind = is_of_torch(type) ? Kind::instance : Kind::plain;
    }
    return kind;
}

bool HeldFunctions::is_of_torch(const PyTypeObject* type) const {
    if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0) return false;
    PyObject* module = text_of(type->tp_dict, "__module__");
    return module != nullptr && modules_.has(to_utf8(module));
}

bool HeldFunctions::is_of_program(PyObject* function) {
    auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(function));
    PyObject* globals = PyFunction_GET_GLOBALS(function);
    const bool is_generated = PyUnicode_GET_LENGTH(code->co_filename) > 0 && PyUnicode_READ_CHAR(code->co_filename, 0) == '<';
    const auto [found, is_new] = known_.try_emplace(is_generated ? globals : code->co_filename, false);
    if (is_new) found->second = is_of(files_, code, globals);
    return found->second;
}

}  // namespace coldframe::python
