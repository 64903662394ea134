// The closed set of constants that code objects, guards and recipes hold.
//
// A Value is None, a bool, Ellipsis, an int of any size, a float or complex (compared by their bits, so -0.0, NaN payloads
// and 0.0 stay distinct), str, bytes, tuple, list, dict (ordered), set, frozenset, slice, range, a code object, a reference
// to something importable, or the call of something importable on Values. What lies outside is not portable: there is no
// escape into pickle.
//
//   Value device = Construct{{"torch", "device"}, {Value::str("cpu")}};
//   Value dtype = ImportRef{"torch", "float32"};
//   bool same = device == dtype;          // exact: 1, True and 1.0 are three different values
//
// Thread-safety: values; share them freely once built. Failure: none; encoding and decoding are in value_codec.hpp.
#pragma once

#include <coldframe/util/bytes.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace coldframe {

class CodeObject;
class Value;

struct None {
    bool operator==(const None&) const = default;
};
struct EllipsisValue {
    bool operator==(const EllipsisValue&) const = default;
};

// An int outside int64_t: sign and magnitude, big-endian, without leading zeros.
struct BigInt {
    bool negative = false;
    Bytes magnitude;
    bool operator==(const BigInt&) const = default;
};

struct Float {
    std::uint64_t bits = 0;
    bool operator==(const Float&) const = default;
};
struct Complex {
    Float real;
    Float imag;
    bool operator==(const Complex&) const = default;
};

// UTF-8 in which lone surrogates are encoded as CPython's "surrogatepass" does.
struct Str {
    std::string utf8;
    bool operator==(const Str&) const = default;
};

// An object that importing `module` and walking the dotted `qualname` yields; the module itself when `qualname` is empty.
struct ImportRef {
    std::string module;
    std::string qualname;
    bool operator==(const ImportRef&) const = default;
};

struct Tuple {
    std::vector<Value> items;
};
struct List {
    std::vector<Value> items;
};
struct ValuePair;
struct Dict {
    std::vector<ValuePair> items;  // in insertion order
};
struct Set {
    std::vector<Value> items;  // canonical order: by encoded bytes
    bool frozen = false;
};
struct Slice {
    std::vector<Value> parts;  // start, stop, step
};
struct Range {
    std::vector<Value> parts;  // start, stop, step
};
struct Construct {
    ImportRef callee;
    std::vector<Value> args;
};

class Value {
   public:
    using Storage = std::variant<None, bool, EllipsisValue, std::int64_t, BigInt, Float, Complex, Str, Bytes, Tuple, List, Dict,
                                 Set, Slice, Range, std::shared_ptr<const CodeObject>, ImportRef, Construct>;

    Value() = default;  // None
    template <typename T>
        requires std::constructible_from<Storage, T> && (!std::same_as<std::remove_cvref_t<T>, Value>)
    Value(T&& alternative) : storage_(std::forward<T>(alternative)) {}  // NOLINT(google-explicit-constructor)

    [[nodiscard]] static Value str(std::string utf8);
    [[nodiscard]] static Value integer(std::int64_t value);
    [[nodiscard]] static Value boolean(bool value);
    [[nodiscard]] static Value real(double value);

    [[nodiscard]] const Storage& storage() const { return storage_; }
    template <typename T>
    [[nodiscard]] const T* get_if() const {
        return std::get_if<T>(&storage_);
    }

    bool operator==(const Value& other) const;  // exact, code objects by content

   private:
    explicit Value(Storage storage);
    Storage storage_;
};

struct ValuePair {
    Value key;
    Value value;
    bool operator==(const ValuePair&) const = default;
};

// Only here is Dict complete, and with it what destroys a Value.
inline Value::Value(Storage storage) : storage_(std::move(storage)) {}
inline Value Value::str(std::string utf8) { return {Str{std::move(utf8)}}; }
inline Value Value::integer(std::int64_t value) { return Value(Storage(value)); }
inline Value Value::boolean(bool value) { return Value(Storage(value)); }

}  // namespace coldframe
