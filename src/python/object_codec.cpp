// Exact builtin types are converted here by a table of cases. The rest is first asked for its name (import_ref.hpp), then for
// the call that makes it (construct.hpp); what has neither is not portable.
#include <python/object_codec.hpp>

#include <python/code_codec.hpp>
#include <python/construct.hpp>
#include <python/import_ref.hpp>
#include <python/place.hpp>
#include <python/wrappers.hpp>

#include <bit>

namespace coldframe::python {

namespace {

[[noreturn]] void refuse(const Place& place, const std::string& reason) {
    raise({ErrorCode::not_portable, place.path() + " " + describe(place.object()) + " is not portable: " + reason, {}});
}

Value convert_int(PyObject* object) {
    int overflow = 0;
    const long long small = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0) {
        if (small == -1 && PyErr_Occurred() != nullptr) throw PythonError();
        return Value::integer(small);
    }
    Ref magnitude = owned(PyNumber_Absolute(object));
    Ref bits = owned(PyObject_CallMethod(magnitude.get(), "bit_length", nullptr));
    const Py_ssize_t size = PyLong_AsSsize_t(bits.get()) / 8 + 1;
    Ref bytes = owned(PyObject_CallMethod(magnitude.get(), "to_bytes", "ns", size, "big"));
    return make_integer(overflow < 0, to_bytes(bytes.get()));
}

Float float_bits(double value) { return Float{std::bit_cast<std::uint64_t>(value)}; }

// Converts one object and counts its parts, so that what shares its parts many times over ends in an error.
class Converter {
   public:
    Value convert(const Place& place) {
        PyObject* object = place.object();
        if (++count_ > cbor::k_max_items) refuse(place, "the whole has more parts than a package takes");
        if (place.depth() >= k_max_value_depth) refuse(place, "it nests too deeply");
        if (object == Py_None) return None{};
        if (PyBool_Check(object)) return Value::boolean(object == Py_True);
        if (object == Py_Ellipsis) return EllipsisValue{};
        if (PyLong_CheckExact(object)) return convert_int(object);
        if (PyFloat_CheckExact(object)) return float_bits(PyFloat_AS_DOUBLE(object));
        if (PyUnicode_CheckExact(object)) return Value::str(to_utf8(object));
        if (PyBytes_CheckExact(object)) return to_bytes(object);
        if (PyComplex_CheckExact(object)) {
            const Py_complex value = PyComplex_AsCComplex(object);
            return Complex{float_bits(value.real), float_bits(value.imag)};
        }
        if (place.is_cycle()) refuse(place, "it contains itself");
        return convert_container(place);
    }

    std::vector<Value> convert_items(const Place& place, PyObject* sequence, std::string_view name = "") {
        Ref items = owned(PySequence_Tuple(sequence));
        std::vector<Value> values;
        const Py_ssize_t count = PyTuple_GET_SIZE(items.get());
        values.reserve(static_cast<std::size_t>(count));
        for (Py_ssize_t i = 0; i < count; ++i) {
            values.push_back(convert(Place(place, PyTuple_GET_ITEM(items.get(), i), name, i)));
        }
        return values;
    }

   private:
    Value convert_container(const Place& place) {
        PyObject* object = place.object();
        if (PyTuple_CheckExact(object)) return Tuple{convert_items(place, object)};
        if (PyList_CheckExact(object)) return List{convert_items(place, object)};
        if (PyDict_CheckExact(object)) return convert_dict(place);
        if (PySet_CheckExact(object) || PyFrozenSet_CheckExact(object)) return convert_set(place);
        if (PySlice_Check(object)) return Slice{convert_attributes(place)};
        if (PyRange_Check(object)) return Range{convert_attributes(place)};
        if (PyCode_Check(object)) return from_code(place);
        return convert_other(place);
    }

    Value convert_dict(const Place& place) {
        Ref pairs = owned(PyDict_Items(place.object()));
        Dict dict;
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs.get()); ++i) {
            PyObject* pair = PyList_GET_ITEM(pairs.get(), i);
            PyObject* key = PyTuple_GET_ITEM(pair, 0);
            Value first = convert(Place(place, key, ".keys()", i));
            dict.items.push_back({std::move(first), convert(Place(place, PyTuple_GET_ITEM(pair, 1), "", key))});
        }
        return dict;
    }

    Value convert_set(const Place& place) {
        std::vector<Value> items = convert_items(place, place.object(), ".items");
        const std::size_t count = items.size();
        Result<Value> set = make_set(std::move(items), PyFrozenSet_CheckExact(place.object()));
        if (!set) refuse(place, set.error().message);
        if (set->get_if<Set>()->items.size() != count) refuse(place, "it has items that cannot be told apart");
        return std::move(*set);
    }

    std::vector<Value> convert_attributes(const Place& place) {
        std::vector<Value> parts;
        for (const char* name : {"start", "stop", "step"}) {
            Ref part = owned(PyObject_GetAttrString(place.object(), name));
            const std::string shown = std::string(".") + name;
            parts.push_back(convert(Place(place, part.get(), shown, nullptr)));
        }
        return parts;
    }

    Value convert_other(const Place& place) {
        PyObject* object = place.object();
        if (const ImportRef* reference = unwrap_import_ref(object)) return *reference;
        if (const Construct* construct = unwrap_construct(object)) return *construct;
        if (CodePtr code = unwrap_code(object)) return code;
        if (std::optional<Construction> construction = find_construction(object)) {
            return Construct{std::move(construction->callee), convert_items(place, construction->args.get(), ".args")};
        }
        Result<ImportRef> reference = find_import_ref(object);
        if (!reference) refuse(place, reference.error().message);
        return std::move(*reference);
    }

    std::uint64_t count_ = 0;
};

// Builds the Python object of a Value.
class Builder {
   public:
    Builder(References references, Codes codes) : references_(references), codes_(codes) {}

    Ref build(const Value& value) const { return std::visit(*this, value.storage()); }

    Ref operator()(const None&) const { return Ref::borrow(Py_None); }
    Ref operator()(bool value) const { return Ref::borrow(value ? Py_True : Py_False); }
    Ref operator()(const EllipsisValue&) const { return Ref::borrow(Py_Ellipsis); }
    Ref operator()(std::int64_t value) const { return owned(PyLong_FromLongLong(value)); }
    Ref operator()(const BigInt& value) const {
        Ref bytes = from_bytes(value.magnitude);
        auto* type = reinterpret_cast<PyObject*>(&PyLong_Type);
        Ref magnitude = owned(PyObject_CallMethod(type, "from_bytes", "Os", bytes.get(), "big"));
        return value.negative ? owned(PyNumber_Negative(magnitude.get())) : magnitude;
    }
    Ref operator()(const Float& value) const { return owned(PyFloat_FromDouble(std::bit_cast<double>(value.bits))); }
    Ref operator()(const Complex& value) const {
        return owned(PyComplex_FromDoubles(std::bit_cast<double>(value.real.bits), std::bit_cast<double>(value.imag.bits)));
    }
    Ref operator()(const Str& value) const { return from_utf8(value.utf8); }
    Ref operator()(const Bytes& value) const { return from_bytes(value); }
    Ref operator()(const Tuple& value) const { return tuple(value.items); }
    Ref operator()(const List& value) const {
        Ref list = owned(PyList_New(static_cast<Py_ssize_t>(value.items.size())));
        Py_ssize_t index = 0;
        for (const Value& item : value.items) PyList_SET_ITEM(list.get(), index++, build(item).release());
        return list;
    }
    Ref operator()(const Dict& value) const {
        Ref dict = owned(PyDict_New());
        for (const ValuePair& pair : value.items) {
            Ref key = build(pair.key);
            Ref item = build(pair.value);
            hashed(PyDict_SetItem(dict.get(), key.get(), item.get()));
        }
        all_different(PyDict_GET_SIZE(dict.get()), value.items.size());
        return dict;
    }
    Ref operator()(const Set& value) const {
        Ref set = owned(value.frozen ? PyFrozenSet_New(nullptr) : PySet_New(nullptr));
        for (const Value& item : value.items) hashed(PySet_Add(set.get(), build(item).get()));
        all_different(PySet_GET_SIZE(set.get()), value.items.size());
        return set;
    }
    Ref operator()(const Slice& value) const {
        Ref parts = tuple(value.parts);
        PyObject* items = parts.get();
        return owned(PySlice_New(PyTuple_GET_ITEM(items, 0), PyTuple_GET_ITEM(items, 1), PyTuple_GET_ITEM(items, 2)));
    }
    Ref operator()(const Range& value) const {
        Ref parts = tuple(value.parts);
        Ref range = Ref::steal(PyObject_CallObject(reinterpret_cast<PyObject*>(&PyRange_Type), parts.get()));
        if (!range) raise({ErrorCode::corrupt, "a range whose parts make none", {}});
        return range;
    }
    Ref operator()(const CodePtr& code) const { return codes_ == Codes::wrapped ? wrap(code) : to_code(code); }
    Ref operator()(const ImportRef& reference) const {
        return references_ == References::kept ? wrap(reference) : resolve(reference);
    }
    Ref operator()(const Construct& construct) const {
        if (references_ == References::kept) return wrap(construct);
        return make(construct.callee, tuple(construct.args).get());
    }

    [[nodiscard]] Ref tuple(const std::vector<Value>& values) const {
        Ref tuple = owned(PyTuple_New(static_cast<Py_ssize_t>(values.size())));
        Py_ssize_t index = 0;
        for (const Value& value : values) PyTuple_SET_ITEM(tuple.get(), index++, build(value).release());
        return tuple;
    }

   private:
    static void hashed(int status) {
        if (status == 0) return;
        if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw PythonError();
        raise({ErrorCode::corrupt, "a set or dict with an item that cannot be in one", {}});
    }
    static void all_different(Py_ssize_t present, std::size_t expected) {
        if (static_cast<std::size_t>(present) == expected) return;
        raise({ErrorCode::corrupt, "a set or dict in which two items are equal here", {}});
    }

    References references_;
    Codes codes_;
};

// Rebuilds exact builtin containers; anything else stays as it is.
Ref resolve_place(const Place& place);

Ref resolve_items(const Place& place, PyObject* items, std::string_view name = "") {
    Ref old_items = owned(PySequence_Tuple(items));
    const Py_ssize_t count = PyTuple_GET_SIZE(old_items.get());
    Ref new_items = owned(PyTuple_New(count));
    for (Py_ssize_t i = 0; i < count; ++i) {
        Ref item = resolve_place(Place(place, PyTuple_GET_ITEM(old_items.get(), i), name, i));
        PyTuple_SET_ITEM(new_items.get(), i, item.release());
    }
    return new_items;
}

Ref resolve_dict(const Place& place) {
    Ref pairs = owned(PyDict_Items(place.object()));
    Ref dict = owned(PyDict_New());
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs.get()); ++i) {
        PyObject* pair = PyList_GET_ITEM(pairs.get(), i);
        PyObject* key = PyTuple_GET_ITEM(pair, 0);
        Ref new_key = resolve_place(Place(place, key, ".keys()", i));
        Ref value = resolve_place(Place(place, PyTuple_GET_ITEM(pair, 1), "", key));
        check(PyDict_SetItem(dict.get(), new_key.get(), value.get()));
    }
    return dict;
}

Ref resolve_place(const Place& place) {
    PyObject* object = place.object();
    if (const ImportRef* reference = unwrap_import_ref(object)) return resolve(*reference);
    if (const Construct* construct = unwrap_construct(object)) return to_python(*construct, References::resolved);
    const bool is_container = PyTuple_CheckExact(object) || PyList_CheckExact(object) || PyDict_CheckExact(object) ||
                              PySet_CheckExact(object) || PyFrozenSet_CheckExact(object);
    if (!is_container) return Ref::borrow(object);
    if (place.depth() >= k_max_value_depth) refuse(place, "it nests too deeply");
    if (place.is_cycle()) refuse(place, "it contains itself");
    if (PyDict_CheckExact(object)) return resolve_dict(place);
    Ref items = resolve_items(place, object);
    if (PyTuple_CheckExact(object)) return items;
    if (PyList_CheckExact(object)) return owned(PySequence_List(items.get()));
    return owned(PySet_CheckExact(object) ? PySet_New(items.get()) : PyFrozenSet_New(items.get()));
}

}  // namespace

Value to_value(const Place& place) { return Converter().convert(place); }

Value to_value(PyObject* object, std::string_view root) { return to_value(Place(root, object, 0)); }

std::vector<Value> to_values(const Place& place, PyObject* sequence, std::string_view name) {
    return Converter().convert_items(place, sequence, name);
}

Ref to_python(const Value& value, References references, Codes codes) { return Builder(references, codes).build(value); }

Ref to_tuple(const std::vector<Value>& values, References references, Codes codes) {
    return Builder(references, codes).tuple(values);
}

Ref resolve_all(PyObject* object) { return resolve_place(Place("value", object, 0)); }

Bytes encode_object(PyObject* object) {
    Result<Bytes> bytes = encode(to_value(object));
    if (!bytes && bytes.error().code == ErrorCode::invalid_argument) bytes.error().code = ErrorCode::not_portable;
    return value_or_raise(std::move(bytes));
}

}  // namespace coldframe::python
