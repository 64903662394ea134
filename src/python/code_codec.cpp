#include <python/code_codec.hpp>

#include <python/wrappers.hpp>

#include <opcode.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

namespace coldframe::python {

namespace {

using Integer = std::int64_t CodeFields::*;
using Binary = Bytes CodeFields::*;
using Text = std::string CodeFields::*;
using Texts = std::vector<std::string> CodeFields::*;
using Constants = std::vector<Value> CodeFields::*;

struct FieldInfo {
    const char* attribute;  // of a code object; the field's name is what follows "co_"
    std::variant<Integer, Binary, Text, Texts, Constants> member;

    [[nodiscard]] std::string_view name() const { return std::string_view(attribute).substr(3); }
};

const FieldInfo k_fields[] = {
    {"co_argcount", &CodeFields::argcount},
    {"co_posonlyargcount", &CodeFields::posonlyargcount},
    {"co_kwonlyargcount", &CodeFields::kwonlyargcount},
    {"co_nlocals", &CodeFields::nlocals},
    {"co_stacksize", &CodeFields::stacksize},
    {"co_flags", &CodeFields::flags},
    {"co_code", &CodeFields::code},
    {"co_consts", &CodeFields::consts},
    {"co_names", &CodeFields::names},
    {"co_varnames", &CodeFields::varnames},
    {"co_filename", &CodeFields::filename},
    {"co_name", &CodeFields::name},
    {"co_qualname", &CodeFields::qualname},
    {"co_firstlineno", &CodeFields::firstlineno},
    {"co_linetable", &CodeFields::linetable},
    {"co_exceptiontable", &CodeFields::exceptiontable},
    {"co_freevars", &CodeFields::freevars},
    {"co_cellvars", &CodeFields::cellvars},
};

// Null for a name that the running CPython does not know.
const FieldInfo* find_field(std::string_view name) {
    if (std::ranges::find(k_code_arguments, name) == k_code_arguments.end()) return nullptr;
    return std::ranges::find(k_fields, name, &FieldInfo::name);
}

[[noreturn]] void refuse_field(const FieldInfo& field, const char* expected) {
    raise({ErrorCode::invalid_argument, "field '" + std::string(field.name()) + "' of a code object is not " + expected, {}});
}

// Writes one Python object into a field.
struct FieldReader {
    CodeFields& fields;
    const FieldInfo& info;
    const Place& place;
    PyObject* object;

    void operator()(Integer member) const {
        if (!PyLong_CheckExact(object)) refuse_field(info, "an int");
        fields.*member = PyLong_AsLongLong(object);
        if (PyErr_Occurred() != nullptr) refuse_field(info, "an int of 64 bits");
    }
    void operator()(Binary member) const {
        if (!PyBytes_CheckExact(object)) refuse_field(info, "bytes");
        fields.*member = to_bytes(object);
    }
    void operator()(Text member) const {
        if (!PyUnicode_Check(object)) refuse_field(info, "a str");
        fields.*member = to_utf8(object);
    }
    void operator()(Texts member) const {
        if (!PyTuple_Check(object) && !PyList_Check(object)) refuse_field(info, "a tuple of str");
        Ref items = owned(PySequence_Tuple(object));
        std::vector<std::string> texts;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.get()); ++i) {
            PyObject* item = PyTuple_GET_ITEM(items.get(), i);
            if (!PyUnicode_Check(item)) refuse_field(info, "a tuple of str");
            texts.push_back(to_utf8(item));
        }
        fields.*member = std::move(texts);
    }
    void operator()(Constants member) const {
        if (!PyTuple_Check(object) && !PyList_Check(object)) refuse_field(info, "a tuple");
        fields.*member = to_values(place, object, ".consts");
    }
};

// Makes the Python object of a field.
struct FieldBuilder {
    const CodeFields& fields;
    References references;
    Codes codes;

    Ref operator()(Integer member) const { return owned(PyLong_FromLongLong(fields.*member)); }
    Ref operator()(Binary member) const { return from_bytes(fields.*member); }
    Ref operator()(Text member) const { return from_utf8(fields.*member); }
    Ref operator()(Texts member) const {
        const std::vector<std::string>& texts = fields.*member;
        Ref tuple = owned(PyTuple_New(static_cast<Py_ssize_t>(texts.size())));
        Py_ssize_t index = 0;
        for (const std::string& text : texts) PyTuple_SET_ITEM(tuple.get(), index++, from_utf8(text).release());
        return tuple;
    }
    Ref operator()(Constants member) const { return to_tuple(fields.*member, references, codes); }
};

// What lies in the slot of a code object.
struct Slot {
    CodePtr code;
    CodePtr portable;       // what a package holds of it, once asked for
    PyObject* python_code;  // whose slot this is
};

// CodeObject -> its living code object, not owned: the slot's end removes it. Never destroyed, as code objects may outlive
// static objects.
std::unordered_map<const CodeObject*, PyObject*>& living_codes() {
    static auto& codes = *new std::unordered_map<const CodeObject*, PyObject*>();
    return codes;
}

void free_slot(void* pointer) {
    auto* slot = static_cast<Slot*>(pointer);
    if (slot == nullptr) return;
    for (const CodePtr& code : {slot->code, slot->portable}) {
        const auto found = living_codes().find(code.get());
        if (found != living_codes().end() && found->second == slot->python_code) living_codes().erase(found);
    }
    delete slot;
}

Py_ssize_t slot_index() {
    static const Py_ssize_t index = request_code_extra(free_slot);
    if (index < 0) raise({ErrorCode::internal, "CPython has no slot left on code objects", {}});
    return index;
}

Slot* find_slot(PyObject* code) {
    void* pointer = nullptr;
    check(get_code_extra(code, slot_index(), &pointer));
    return static_cast<Slot*>(pointer);
}

void memoise(PyObject* python_code, const CodePtr& code) {
    auto slot = std::make_unique<Slot>(code, nullptr, python_code);
    check(set_code_extra(python_code, slot_index(), slot.get()));
    static_cast<void>(slot.release());  // is the code object's now
    living_codes().try_emplace(code.get(), python_code);
}

// Encoding is what finds constants that nest too deeply, also through code objects that were made one by one.
CodePtr checked(CodeFields fields, ErrorCode code) {
    auto object = std::make_shared<const CodeObject>(std::move(fields));
    if (Result<Bytes> bytes = encode_code(*object); !bytes) {
        raise(Error{code, std::move(bytes.error().message), {}}.with("code object " + object->fields().name));
    }
    return object;
}

bool loads_constant(int opcode) {
#ifdef RETURN_CONST
    if (opcode == RETURN_CONST) return true;
#endif
    return opcode == LOAD_CONST;
}

// A function's first constant is its docstring or None. No instruction loads it unless the same text is used elsewhere in it.
bool has_idle_docstring(const CodeFields& fields) {
    constexpr std::int64_t k_function = CO_OPTIMIZED | CO_NEWLOCALS;
    const bool is_comprehension = fields.name.starts_with('<');
    if ((fields.flags & k_function) != k_function || is_comprehension || fields.consts.empty()) return false;
    if (fields.consts.front().get_if<Str>() == nullptr) return false;
    int before = 0;
    for (std::size_t i = 0; i + 1 < fields.code.size(); i += 2) {
        const int opcode = fields.code[i];
        if (loads_constant(opcode) && fields.code[i + 1] == 0 && before != EXTENDED_ARG) return false;
        before = opcode;
    }
    return true;
}

// Since 3.12 there are operations that a running interpreter writes over others, and finds others again behind.
bool is_of_running_code([[maybe_unused]] std::size_t opcode) {
#ifdef ENTER_EXECUTOR
    if (opcode == ENTER_EXECUTOR) return true;
#endif
#ifdef MIN_INSTRUMENTED_OPCODE
    return opcode >= MIN_INSTRUMENTED_OPCODE;
#else
    return false;
#endif
}

// By opcode, how many cache entries follow it; nothing for what no compiler writes.
using CacheSizes = std::array<std::optional<std::size_t>, 256>;

CacheSizes read_cache_sizes() {
    const Ref module = owned(PyImport_ImportModule("opcode"));
    const Ref numbers = owned(PyObject_GetAttrString(module.get(), "opmap"));
    const Ref entries = owned(PyObject_GetAttrString(module.get(), "_inline_cache_entries"));
    CacheSizes result;
    PyObject* name = nullptr;
    PyObject* number = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(numbers.get(), &position, &name, &number) != 0) {
        const std::size_t opcode = PyLong_AsSize_t(number);
        if (opcode >= result.size() || is_of_running_code(opcode)) continue;
        const bool by_name = PyDict_Check(entries.get());  // since 3.13, those that have some
        const bool has_some = !by_name || PyDict_GetItem(entries.get(), name) != nullptr;
        result[opcode] = has_some ? PyLong_AsSize_t(owned(PyObject_GetItem(entries.get(), by_name ? name : number)).get()) : 0;
    }
    return result;
}

// CPython writes to the caches of whatever code it is given, and trusts what it finds there.
void check_operations(const CodeFields& fields) {
    static const CacheSizes sizes = read_cache_sizes();
    const auto wrong = [&](std::string_view how) {
        raise({ErrorCode::corrupt, "the bytecode of " + fields.qualname + " " + std::string(how), {}});
    };
    if (fields.code.size() % 2 != 0) wrong("ends within an instruction");
    for (std::size_t i = 0; i < fields.code.size(); i += 2) {
        const std::optional<std::size_t> caches = sizes[fields.code[i]];
        if (!caches) wrong("holds an operation that no compiler writes");
        if (*caches * 2 >= fields.code.size() - i) wrong("ends within an instruction");
        for (const std::size_t end = i + 2 * *caches; i < end; i += 2) {
            if (fields.code[i + 2] != 0 || fields.code[i + 3] != 0) wrong("holds more than zeros in an instruction's cache");
        }
    }
}

}  // namespace

CodePtr from_code(const Place& place) {
    PyObject* python_code = place.object();
    if (const Slot* known = find_slot(python_code)) return known->code;
    CodeFields fields;
    for (const FieldInfo& info : k_fields) {
        if (find_field(info.name()) == nullptr) continue;
        Ref value = owned(PyObject_GetAttrString(python_code, info.attribute));
        std::visit(FieldReader{fields, info, place, value.get()}, info.member);
    }
    CodePtr code = checked(std::move(fields), ErrorCode::not_portable);
    memoise(python_code, code);
    return code;
}

CodePtr from_code(PyObject* code) { return from_code(Place("code", code, 0)); }

CodePtr portable_code(PyObject* code) {
    CodePtr whole = from_code(code);
    if (const Slot* slot = find_slot(code); slot->portable != nullptr) return slot->portable;
    CodePtr portable = without_directories(whole);
    if (portable != whole) lives_as(portable, code);
    return portable;
}

CodePtr without_docstring(const CodePtr& code) {
    if (!has_idle_docstring(code->fields())) return code;
    CodeFields changed = code->fields();
    changed.consts.front() = Value();
    return std::make_shared<const CodeObject>(std::move(changed));
}

void lives_as(const CodePtr& portable, PyObject* code) {
    static_cast<void>(from_code(code));  // has a slot
    Slot& slot = *find_slot(code);
    const auto before = living_codes().find(slot.portable.get());
    if (before != living_codes().end() && before->second == code) living_codes().erase(before);
    slot.portable = portable;
    living_codes()[portable.get()] = code;
}

Ref to_code(const CodePtr& code) {
    const auto found = living_codes().find(code.get());
    if (found != living_codes().end()) return Ref::borrow(found->second);
    check_operations(code->fields());
    Ref arguments = owned(PyTuple_New(static_cast<Py_ssize_t>(k_code_arguments.size())));
    Py_ssize_t index = 0;
    for (const std::string_view name : k_code_arguments) {
        Ref value = std::visit(FieldBuilder{code->fields(), References::resolved, Codes::plain}, find_field(name)->member);
        PyTuple_SET_ITEM(arguments.get(), index++, value.release());
    }
    Ref object = Ref::steal(PyObject_CallObject(reinterpret_cast<PyObject*>(&PyCode_Type), arguments.get()));
    if (!object) {
        raise({ErrorCode::incompatible, "this Python makes no code object of the fields of " + code->fields().qualname, {}});
    }
    memoise(object.get(), code);
    return object;
}

Ref code_fields(const CodeObject& code) {
    Ref dict = owned(PyDict_New());
    for (const FieldInfo& info : k_fields) {
        if (find_field(info.name()) == nullptr) continue;
        Ref value = std::visit(FieldBuilder{code.fields(), References::kept, Codes::wrapped}, info.member);
        Ref name = from_utf8(info.name());
        check(PyDict_SetItem(dict.get(), name.get(), value.get()));
    }
    return dict;
}

CodePtr code_from_fields(PyObject* fields, const CodeObject* base) {
    CodeFields result = base == nullptr ? CodeFields{} : base->fields();
    Ref dict = owned(PyDict_New());
    check(PyDict_Update(dict.get(), fields));
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    for (Py_ssize_t position = 0; PyDict_Next(dict.get(), &position, &key, &value) != 0;) {
        const std::string name = PyUnicode_Check(key) ? to_utf8(key) : short_repr(key);
        const FieldInfo* info = find_field(name);
        if (info == nullptr) raise({ErrorCode::invalid_argument, "a code object has no field '" + name + "'", {}});
        const Place place("fields", dict.get(), 0);
        std::visit(FieldReader{result, *info, place, value}, info->member);
    }
    if (base == nullptr && static_cast<std::size_t>(PyDict_GET_SIZE(dict.get())) != k_code_arguments.size()) {
        for (const std::string_view name : k_code_arguments) {
            if (PyDict_GetItemString(dict.get(), std::string(name).c_str()) != nullptr) continue;
            raise({ErrorCode::invalid_argument, "field '" + std::string(name) + "' of a code object is missing", {}});
        }
    }
    return checked(std::move(result), ErrorCode::invalid_argument);
}

}  // namespace coldframe::python
