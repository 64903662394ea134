#include <coldframe/model/value_codec.hpp>
#include <coldframe/model/value_tags.hpp>
#include <coldframe/util/try.hpp>

namespace coldframe {
namespace {

using namespace value_codec;

// Containers grow as their items are really read: a count alone reserves no more than this many.
constexpr std::size_t k_max_reserved = 256;

Bytes to_big_endian(std::uint64_t value) {
    Bytes bytes;
    for (unsigned shift = 64; shift != 0;) {
        shift -= 8;
        const auto byte = static_cast<std::uint8_t>(value >> shift);
        if (byte != 0 || !bytes.empty()) bytes.push_back(byte);
    }
    return bytes;
}

Bytes incremented(Bytes magnitude) {
    for (std::size_t i = magnitude.size(); i-- > 0;) {
        if (++magnitude[i] != 0) return magnitude;
    }
    magnitude.insert(magnitude.begin(), 1);
    return magnitude;
}

class ValueReader {
   public:
    ValueReader(cbor::Reader& reader, unsigned depth) : reader_(reader), depth_(depth) {}

    Value read() {
        if (++depth_ > k_max_value_depth) {
            reader_.corrupt("a value that nests deeper than " + std::to_string(k_max_value_depth) + " levels");
        }
        const cbor::Head head = reader_.next();
        Value value = reader_.ok() ? read_item(head) : Value();
        --depth_;
        return value;
    }

   private:
    Value read_item(const cbor::Head& head);
    Value read_simple(const cbor::Head& head);
    Value read_integer(const cbor::Head& head);
    Value read_bignum(bool negative);
    Value read_tagged(const cbor::Head& head);
    Value read_dict();
    Value read_set(bool frozen);
    Value read_code();

    std::vector<Value> read_items(std::uint64_t count) {
        std::vector<Value> items;
        items.reserve(std::min<std::size_t>(count, k_max_reserved));
        for (std::uint64_t i = 0; reader_.ok() && i < count; ++i) items.push_back(read());
        return items;
    }
    std::vector<Value> read_items() { return read_items(reader_.array()); }
    std::vector<Value> read_three() {
        reader_.array_of(3);
        return read_items(3);
    }
    std::vector<std::string> read_strings() {
        std::vector<std::string> strings;
        const std::size_t count = reader_.array();
        strings.reserve(std::min(count, k_max_reserved));
        for (std::size_t i = 0; reader_.ok() && i < count; ++i) strings.push_back(reader_.string());
        return strings;
    }
    Bytes read_bytes() {
        const ByteView view = reader_.bytes();
        return {view.begin(), view.end()};
    }

    cbor::Reader& reader_;
    unsigned depth_;
};

Value ValueReader::read_item(const cbor::Head& head) {
    switch (head.major) {
        case cbor::Major::unsigned_int:
        case cbor::Major::negative_int: return read_integer(head);
        case cbor::Major::bytes: {
            const ByteView view = reader_.body(head);
            return Bytes(view.begin(), view.end());
        }
        case cbor::Major::text: return Value::str(reader_.string_of(head));
        case cbor::Major::array: return Tuple{read_items(head.argument)};
        case cbor::Major::tag: return read_tagged(head);
        case cbor::Major::simple: return read_simple(head);
        case cbor::Major::map: break;
    }
    reader_.corrupt("a map where a value belongs");
    return {};
}

Value ValueReader::read_simple(const cbor::Head& head) {
    switch (head.info) {
        case 20: return Value::boolean(false);
        case 21: return Value::boolean(true);
        case 22: return None{};
        case 27: return Float{head.argument};
        default: break;
    }
    reader_.corrupt("a simple value or a short float");
    return {};
}

Value ValueReader::read_integer(const cbor::Head& head) {
    const bool negative = head.major == cbor::Major::negative_int;
    if (head.argument >> 63 == 0) {
        const auto argument = static_cast<std::int64_t>(head.argument);
        return Value::integer(negative ? -1 - argument : argument);
    }
    Bytes magnitude = to_big_endian(head.argument);
    return BigInt{negative, negative ? incremented(std::move(magnitude)) : std::move(magnitude)};
}

Value ValueReader::read_bignum(bool negative) {
    Bytes magnitude = read_bytes();
    if (reader_.ok() && (magnitude.size() <= 8 || magnitude.front() == 0)) reader_.corrupt("a bignum that needs none");
    if (!reader_.ok()) return {};
    return BigInt{negative, negative ? incremented(std::move(magnitude)) : std::move(magnitude)};
}

Value ValueReader::read_tagged(const cbor::Head& head) {
    if (head.argument == k_positive_bignum_tag) return read_bignum(false);
    if (head.argument == k_negative_bignum_tag) return read_bignum(true);
    switch (static_cast<Tag>(head.argument)) {
        case Tag::ellipsis:
            if (!reader_.is_null()) reader_.corrupt("an ellipsis that is not null");
            return EllipsisValue{};
        case Tag::surrogate_string: return Value::str(reader_.string_of(head));
        case Tag::complex: {
            reader_.array_of(2);
            const Float real{reader_.float_bits()};
            const Float imag{reader_.float_bits()};
            return Complex{real, imag};
        }
        case Tag::list: return List{read_items()};
        case Tag::dict: return read_dict();
        case Tag::set: return read_set(false);
        case Tag::frozenset: return read_set(true);
        case Tag::slice: return Slice{read_three()};
        case Tag::range: return Range{read_three()};
        case Tag::code: return read_code();
        case Tag::import_ref: {
            reader_.array_of(2);
            std::string module = reader_.string();
            return ImportRef{std::move(module), reader_.string()};
        }
        case Tag::construct: {
            reader_.array_of(3);
            std::string module = reader_.string();
            std::string qualname = reader_.string();
            return Construct{{std::move(module), std::move(qualname)}, read_items()};
        }
    }
    // A value cannot be skipped: what it means would be lost.
    const bool newer = reader_.unknown_fields() == cbor::UnknownFields::skip;
    reader_.fail(newer ? ErrorCode::unsupported : ErrorCode::corrupt, "an unknown tag " + std::to_string(head.argument));
    return {};
}

Value ValueReader::read_dict() {
    const std::size_t count = reader_.array();
    if (count % 2 != 0) reader_.corrupt("a dict with a key that has no value");
    Dict dict;
    dict.items.reserve(std::min(count / 2, k_max_reserved));
    std::vector<ByteView> keys;
    for (std::size_t i = 0; reader_.ok() && i < count; i += 2) {
        const std::size_t start = reader_.position();
        Value key = read();
        keys.push_back(reader_.since(start));
        dict.items.push_back({std::move(key), read()});
    }
    if (reader_.ok() && has_repetition(keys)) reader_.corrupt("a dict with equal keys");
    return dict;
}

Value ValueReader::read_set(bool frozen) {
    const std::size_t count = reader_.array();
    Set set{{}, frozen};
    ByteView previous;
    for (std::size_t i = 0; reader_.ok() && i < count; ++i) {
        const std::size_t start = reader_.position();
        set.items.push_back(read());
        const ByteView item = reader_.since(start);
        if (reader_.ok() && i != 0 && !std::ranges::lexicographical_compare(previous, item)) {
            reader_.corrupt("set items that repeat or are out of order");
        }
        previous = item;
    }
    return set;
}

Value ValueReader::read_code() {
    CodeFields f;
    reader_.fields(k_code_fields, [&](unsigned field) {
        switch (field) {
            case 0: f.argcount = reader_.integer(); break;
            case 1: f.posonlyargcount = reader_.integer(); break;
            case 2: f.kwonlyargcount = reader_.integer(); break;
            case 3: f.nlocals = reader_.integer(); break;
            case 4: f.stacksize = reader_.integer(); break;
            case 5: f.flags = reader_.integer(); break;
            case 6: f.code = read_bytes(); break;
            case 7: f.consts = read_items(); break;
            case 8: f.names = read_strings(); break;
            case 9: f.varnames = read_strings(); break;
            case 10: f.freevars = read_strings(); break;
            case 11: f.cellvars = read_strings(); break;
            case 12: f.name = reader_.string(); break;
            case 13: f.qualname = reader_.string(); break;
            case 14: f.exceptiontable = read_bytes(); break;
            case 15: f.filename = reader_.string(); break;
            case 16: f.firstlineno = reader_.integer(); break;
            case 17: f.linetable = read_bytes(); break;
            default: break;
        }
    });
    return CodePtr(std::make_shared<CodeObject>(std::move(f)));
}

}  // namespace

Value read_value(cbor::Reader& reader, unsigned depth) { return ValueReader(reader, depth).read(); }

Result<Value> decode(ByteView bytes) {
    cbor::Reader reader(bytes);
    Value value = read_value(reader);
    COLDFRAME_TRY(reader.finish());
    return value;
}

Result<CodePtr> decode_code(ByteView bytes, cbor::UnknownFields unknown) {
    cbor::Reader reader(bytes, unknown);
    const Value value = read_value(reader);
    if (reader.ok() && value.get_if<CodePtr>() == nullptr) reader.corrupt("a value that is no code object");
    COLDFRAME_TRY(reader.finish());
    return *value.get_if<CodePtr>();
}

}  // namespace coldframe
