#include <coldframe/model/value_codec.hpp>
#include <coldframe/model/value_tags.hpp>
#include <coldframe/util/try.hpp>

#include <span>

namespace coldframe {
namespace {

using namespace value_codec;

std::uint64_t from_big_endian(ByteView magnitude) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : magnitude) value = value << 8 | byte;
    return value;
}

// magnitude - 1, of a magnitude that is not zero.
Bytes decremented(Bytes magnitude) {
    std::size_t i = magnitude.size();
    while (magnitude[--i] == 0) magnitude[i] = 0xff;
    --magnitude[i];
    if (magnitude.front() == 0) magnitude.erase(magnitude.begin());
    return magnitude;
}

// Spans of one growing buffer, kept as offsets until it has stopped growing.
struct Extent {
    std::size_t begin;
    std::size_t end;
};

std::vector<ByteView> views(ByteView buffer, std::size_t start, std::span<const Extent> extents) {
    std::vector<ByteView> result;
    result.reserve(extents.size());
    for (const Extent& extent : extents) result.push_back(buffer.subspan(extent.begin - start, extent.end - extent.begin));
    return result;
}

class ValueWriter {
   public:
    ValueWriter(cbor::Writer& writer, unsigned depth, CodeDetail detail) : writer_(writer), depth_(depth), detail_(detail) {}

    void write(const Value& value) {
        if (!writer_.ok()) return;
        if (++depth_ > k_max_value_depth) {
            writer_.fail("a value that nests deeper than " + std::to_string(k_max_value_depth) + " levels");
        } else {
            std::visit(*this, value.storage());
        }
        --depth_;
    }

    void operator()(const None&) { writer_.null(); }
    void operator()(bool value) { writer_.boolean(value); }
    void operator()(std::int64_t value) { writer_.integer(value); }
    void operator()(const Float& value) { writer_.float_bits(value.bits); }
    void operator()(const Str& value) { writer_.string(value.utf8); }
    void operator()(const Bytes& value) { writer_.bytes(value); }
    void operator()(const EllipsisValue&) {
        tag(Tag::ellipsis);
        writer_.null();
    }
    void operator()(const Complex& value) {
        tag(Tag::complex);
        writer_.array(2);
        writer_.float_bits(value.real.bits);
        writer_.float_bits(value.imag.bits);
    }
    void operator()(const BigInt& value);
    void operator()(const Tuple& value) { items(value.items); }
    void operator()(const List& value) {
        tag(Tag::list);
        items(value.items);
    }
    void operator()(const Dict& value);
    void operator()(const Set& value);
    void operator()(const Slice& value) { three_parts(Tag::slice, value.parts); }
    void operator()(const Range& value) { three_parts(Tag::range, value.parts); }
    void operator()(const CodePtr& value) {
        if (value == nullptr) {
            writer_.fail("a code object that is null");
        } else {
            code(value->fields());
        }
    }
    void operator()(const ImportRef& value) {
        tag(Tag::import_ref);
        writer_.array(2);
        writer_.string(value.module);
        writer_.string(value.qualname);
    }
    void operator()(const Construct& value) {
        tag(Tag::construct);
        writer_.array(3);
        writer_.string(value.callee.module);
        writer_.string(value.callee.qualname);
        items(value.args);
    }

    void code(const CodeFields& fields);

   private:
    void tag(Tag tag) { writer_.tag(static_cast<std::uint64_t>(tag)); }
    void items(const std::vector<Value>& items) {
        writer_.array(items.size());
        for (const Value& item : items) write(item);
    }
    void strings(const std::vector<std::string>& strings) {
        writer_.array(strings.size());
        for (const std::string& string : strings) writer_.string(string);
    }
    void three_parts(Tag number, const std::vector<Value>& parts) {
        if (parts.size() != 3) writer_.fail("a slice or range without three parts");
        tag(number);
        items(parts);
    }

    cbor::Writer& writer_;
    unsigned depth_;
    CodeDetail detail_;
};

// As RFC 8949 wants it: a bignum only where the integer heads do not reach.
void ValueWriter::operator()(const BigInt& value) {
    const Value normal = make_integer(value.negative, value.magnitude);
    if (normal.get_if<BigInt>() == nullptr || *normal.get_if<BigInt>() != value) {
        writer_.fail("an int of 64 bits, or one with leading zeros, as BigInt");
        return;
    }
    const Bytes argument = value.negative ? decremented(value.magnitude) : value.magnitude;
    if (argument.size() > 8) {
        writer_.tag(value.negative ? k_negative_bignum_tag : k_positive_bignum_tag);
        writer_.bytes(argument);
    } else if (value.negative) {
        writer_.negative_int(from_big_endian(argument));
    } else {
        writer_.unsigned_int(from_big_endian(argument));
    }
}

void ValueWriter::operator()(const Dict& value) {
    tag(Tag::dict);
    writer_.array(2 * value.items.size());
    const std::size_t start = writer_.position();
    std::vector<Extent> keys;
    keys.reserve(value.items.size());
    for (const ValuePair& pair : value.items) {
        const std::size_t begin = writer_.position();
        write(pair.key);
        keys.push_back({begin, writer_.position()});
        write(pair.value);
    }
    std::vector<ByteView> encoded = views(writer_.since(start), start, keys);
    if (has_repetition(encoded)) writer_.fail("a dict with equal keys");
}

void ValueWriter::operator()(const Set& value) {
    tag(value.frozen ? Tag::frozenset : Tag::set);
    writer_.array(value.items.size());
    const std::size_t start = writer_.position();
    std::vector<Extent> extents;
    for (const Value& item : value.items) {
        const std::size_t begin = writer_.position();
        write(item);
        extents.push_back({begin, writer_.position()});
    }
    if (detail_ == CodeDetail::semantic || !writer_.ok()) return;  // the order was that of the full encodings
    const std::vector<ByteView> encoded = views(writer_.since(start), start, extents);
    for (std::size_t i = 1; i < encoded.size(); ++i) {
        if (!std::ranges::lexicographical_compare(encoded[i - 1], encoded[i])) {
            writer_.fail("a set that make_set has not put in order");
        }
    }
}

void ValueWriter::code(const CodeFields& f) {
    tag(Tag::code);
    const bool full = detail_ == CodeDetail::full;
    writer_.map(full ? k_code_fields : k_semantic_code_fields);
    std::uint64_t number = 0;
    const auto field = [&] { writer_.unsigned_int(number++); };
    for (const std::int64_t value : {f.argcount, f.posonlyargcount, f.kwonlyargcount, f.nlocals, f.stacksize, f.flags}) {
        field();
        writer_.integer(value);
    }
    field();
    writer_.bytes(f.code);
    field();
    items(f.consts);
    field();
    strings(f.names);
    field();
    strings(f.varnames);
    field();
    strings(f.freevars);
    field();
    strings(f.cellvars);
    field();
    writer_.string(f.name);
    field();
    writer_.string(f.qualname);
    field();
    writer_.bytes(f.exceptiontable);
    if (!full) return;
    field();
    writer_.string(f.filename);
    field();
    writer_.integer(f.firstlineno);
    field();
    writer_.bytes(f.linetable);
}

}  // namespace

void write_value(cbor::Writer& writer, const Value& value, unsigned depth, CodeDetail detail) {
    ValueWriter(writer, depth, detail).write(value);
}

void write_code(cbor::Writer& writer, const CodeFields& fields, unsigned depth, CodeDetail detail) {
    ValueWriter(writer, depth + 1, detail).code(fields);
}

Result<Bytes> encode(const Value& value) {
    cbor::Writer writer;
    write_value(writer, value);
    return std::move(writer).finish();
}

Result<Bytes> encode_code(const CodeObject& code) {
    cbor::Writer writer;
    write_code(writer, code.fields(), 0, CodeDetail::full);
    return std::move(writer).finish();
}

Result<Value> make_set(std::vector<Value> items, bool frozen) {
    std::vector<std::pair<Bytes, Value>> encoded;
    encoded.reserve(items.size());
    for (Value& item : items) {
        COLDFRAME_TRY_ASSIGN(Bytes bytes, encode(item));
        encoded.emplace_back(std::move(bytes), std::move(item));
    }
    std::ranges::sort(encoded, {}, [](const auto& pair) -> const Bytes& { return pair.first; });
    Set set{{}, frozen};
    for (std::size_t i = 0; i < encoded.size(); ++i) {
        if (i == 0 || encoded[i].first != encoded[i - 1].first) set.items.push_back(std::move(encoded[i].second));
    }
    return Value(std::move(set));
}

Value make_integer(bool negative, Bytes magnitude) {
    const auto significant = std::ranges::find_if(magnitude, [](std::uint8_t byte) { return byte != 0; });
    magnitude.erase(magnitude.begin(), significant);
    if (magnitude.size() <= 8) {
        const std::uint64_t value = from_big_endian(magnitude);
        constexpr std::uint64_t k_smallest = std::uint64_t{1} << 63;
        if (value < k_smallest)
            return Value::integer(negative ? -static_cast<std::int64_t>(value) : static_cast<std::int64_t>(value));
        if (value == k_smallest && negative) return Value::integer(INT64_MIN);
    }
    return BigInt{negative, std::move(magnitude)};
}

}  // namespace coldframe
