#include <coldframe/cli/text.hpp>
#include <coldframe/model/code_object.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <optional>
#include <ostream>

namespace coldframe::cli {
namespace {

constexpr std::size_t k_preview_bytes = 32;

template <typename... T>
std::string format(const char* pattern, T... arguments) {
    std::array<char, 64> buffer{};
    const int length = std::snprintf(buffer.data(), buffer.size(), pattern, arguments...);
    return {buffer.data(), static_cast<std::size_t>(std::max(length, 0))};
}

struct CodePoint {
    std::uint32_t value = 0;
    std::size_t length = 1;
};

// The code point at the front of `text`; nothing when its first byte starts none. Lone surrogates are let through.
std::optional<CodePoint> front(std::string_view text) {
    const auto lead = static_cast<std::uint8_t>(text[0]);
    if (lead < 0x80) return CodePoint{lead, 1};
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return std::nullopt;
    std::uint32_t value = lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        const auto byte = static_cast<std::uint8_t>(text[i]);
        if ((byte & 0xC0U) != 0x80U) return std::nullopt;
        value = (value << 6U) | (byte & 0x3FU);
    }
    constexpr std::array<std::uint32_t, 5> k_least{0, 0, 0x80, 0x800, 0x10000};
    if (value < k_least[length] || value > 0x10FFFF) return std::nullopt;
    return CodePoint{value, length};
}

bool moves_the_cursor(std::uint32_t code_point) {
    const bool control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
    const bool bidirectional = (code_point >= 0x202A && code_point <= 0x202E) || (code_point >= 0x2066 && code_point <= 0x2069);
    const bool line_separator = code_point == 0x2028 || code_point == 0x2029;
    const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    return control || bidirectional || line_separator || surrogate;
}

std::string escaped(std::uint32_t code_point) {
    switch (code_point) {
        case '\n': return "\\n";
        case '\r': return "\\r";
        case '\t': return "\\t";
        default: return code_point < 0x100 ? format("\\x%02x", code_point) : format("\\u%04x", code_point);
    }
}

std::string escape_text(std::string_view text, std::string_view also) {
    std::string result;
    while (!text.empty()) {
        const std::optional<CodePoint> point = front(text);
        if (!point) {
            result += format("\\x%02x", static_cast<unsigned>(static_cast<std::uint8_t>(text[0])));
        } else if (moves_the_cursor(point->value)) {
            result += escaped(point->value);
        } else {
            if (also.find(text[0]) != std::string_view::npos) result += '\\';
            result += text.substr(0, point->length);
        }
        text.remove_prefix(point ? point->length : 1);
    }
    return result;
}

std::string quoted(std::string_view text) { return "'" + escape_text(text, "\\'") + "'"; }

std::string bytes_repr(const Bytes& bytes) {
    std::string result = "b'";
    for (std::size_t i = 0; i < std::min(bytes.size(), k_preview_bytes); ++i) {
        const std::uint8_t byte = bytes[i];
        if (byte == '\\' || byte == '\'') {
            result.append(1, '\\').append(1, static_cast<char>(byte));
        } else {
            result += byte >= 0x20 && byte < 0x7F ? std::string(1, static_cast<char>(byte)) : escaped(byte);
        }
    }
    if (bytes.size() > k_preview_bytes) return result + "'... (" + count_text(bytes.size(), "byte") + ")";
    return result + "'";
}

std::string float_repr(Float number) {
    const auto value = std::bit_cast<double>(number.bits);
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    std::string text(buffer.data(), end);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

std::string big_int_repr(const BigInt& number) {
    std::string text = number.negative ? "-0x" : "0x";
    for (const std::uint8_t byte : number.magnitude) text += format("%02x", static_cast<unsigned>(byte));
    return text;
}

std::string dotted(const ImportRef& ref) {
    if (ref.qualname.empty()) return "<module " + printable(ref.module) + ">";
    const bool builtin = ref.module == "builtins";
    return builtin ? printable(ref.qualname) : printable(ref.module + "." + ref.qualname);
}

std::string list_repr(const std::vector<Value>& items) {
    std::string text;
    for (const Value& item : items) text.append(text.empty() ? "" : ", ").append(repr(item));
    return text;
}

struct Repr {
    std::string operator()(const None&) const { return "None"; }
    std::string operator()(bool value) const { return value ? "True" : "False"; }
    std::string operator()(const EllipsisValue&) const { return "Ellipsis"; }
    std::string operator()(std::int64_t value) const { return std::to_string(value); }
    std::string operator()(const BigInt& value) const { return big_int_repr(value); }
    std::string operator()(const Float& value) const { return float_repr(value); }
    std::string operator()(const Complex& value) const {
        return "complex(" + float_repr(value.real) + ", " + float_repr(value.imag) + ")";
    }
    std::string operator()(const Str& value) const { return quoted(value.utf8); }
    std::string operator()(const Bytes& value) const { return bytes_repr(value); }
    std::string operator()(const Tuple& value) const {
        return "(" + list_repr(value.items) + (value.items.size() == 1 ? ",)" : ")");
    }
    std::string operator()(const List& value) const { return "[" + list_repr(value.items) + "]"; }
    std::string operator()(const Dict& value) const {
        std::string text;
        for (const ValuePair& pair : value.items) {
            text.append(text.empty() ? "" : ", ").append(repr(pair.key)).append(": ").append(repr(pair.value));
        }
        return "{" + text + "}";
    }
    std::string operator()(const Set& value) const {
        const std::string items = value.items.empty() ? "" : "{" + list_repr(value.items) + "}";
        if (value.frozen) return "frozenset(" + items + ")";
        return value.items.empty() ? "set()" : items;
    }
    std::string operator()(const Slice& value) const { return "slice(" + list_repr(value.parts) + ")"; }
    std::string operator()(const Range& value) const { return "range(" + list_repr(value.parts) + ")"; }
    std::string operator()(const std::shared_ptr<const CodeObject>& value) const {
        if (!value) return "<code>";
        return "<code " + printable(value->fields().qualname) + " " + short_hex(value->digest()) + ">";
    }
    std::string operator()(const ImportRef& value) const { return dotted(value); }
    std::string operator()(const Construct& value) const { return dotted(value.callee) + "(" + list_repr(value.args) + ")"; }
};

}  // namespace

std::string printable(std::string_view text) { return escape_text(text, ""); }

std::string repr(const Value& value) { return std::visit(Repr{}, value.storage()); }

std::string size_text(std::uint64_t bytes) {
    if (bytes < 1024) return std::to_string(bytes) + " B";
    constexpr std::array k_units{"KiB", "MiB", "GiB", "TiB"};
    auto amount = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < k_units.size(); ++unit) amount /= 1024;
    return format("%.1f %s", amount, k_units[unit]);
}

std::string seconds_text(double seconds) { return format("%.2f s", seconds); }

std::string time_text(std::int64_t seconds_since_epoch) {
    const auto time = static_cast<std::time_t>(seconds_since_epoch);
    std::tm parts{};
    std::array<char, 64> buffer{};
    if (gmtime_r(&time, &parts) == nullptr) return std::to_string(seconds_since_epoch);
    return {buffer.data(), std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

std::string short_hex(const Digest& digest) { return to_hex(digest).substr(0, 16); }

std::string hex_preview(const Bytes& bytes) {
    std::string text = count_text(bytes.size(), "byte");
    if (!bytes.empty()) text += "  ";
    for (std::size_t i = 0; i < std::min(bytes.size(), k_preview_bytes); ++i) {
        text += format("%02x", static_cast<unsigned>(bytes[i]));
    }
    return bytes.size() > k_preview_bytes ? text + "..." : text;
}

std::string join(const std::vector<std::string>& items, std::string_view separator) {
    std::string text;
    for (std::size_t i = 0; i < items.size(); ++i) text.append(i == 0 ? "" : separator).append(printable(items[i]));
    return text;
}

std::string count_text(std::size_t count, std::string_view noun) {
    return std::to_string(count).append(" ").append(noun).append(count == 1 ? "" : "s");
}

void Table::print(std::ostream& out) const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows_) {
        std::string line(indent_, ' ');
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string padding(widths[i] - row[i].size(), ' ');
            const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
            line.append(right ? padding + row[i] : row[i] + padding).append("  ");
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    }
}

}  // namespace coldframe::cli
