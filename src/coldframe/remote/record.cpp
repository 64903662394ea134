#include <coldframe/remote/record.hpp>

#include <coldframe/util/byte_io.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

namespace coldframe::remote {
namespace {

constexpr std::string_view k_mark = "coldframe record 1\n";
constexpr std::string_view k_worker = "coldframe";
constexpr std::size_t k_digest_digits = 64;
constexpr std::uint64_t k_max_blob = std::uint64_t{1} << 40;

// Protocol Buffers' wire types.
enum Wire : std::uint8_t { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

ByteView view(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }
std::string_view text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class MessageWriter {
   public:
    void number(unsigned field, std::uint64_t value) {
        write_varint(field << 3 | Wire::varint);
        write_varint(value);
    }
    void bytes(unsigned field, ByteView value) {
        write_varint(field << 3 | Wire::length_delimited);
        write_varint(value.size());
        writer_.raw(value);
    }
    [[nodiscard]] ByteView view() const { return writer_.view(); }
    [[nodiscard]] Bytes finish() && { return std::move(writer_).finish(); }

   private:
    void write_varint(std::uint64_t value) {
        while (value >= 0x80) {
            writer_.u8(static_cast<std::uint8_t>(value | 0x80));
            value >>= 7;
        }
        writer_.u8(static_cast<std::uint8_t>(value));
    }
    ByteWriter writer_;
};

struct Field {
    std::uint64_t number = 0;
    std::uint64_t value = 0;  // of a varint
    ByteView bytes;           // of what has a length
};

// The fields of a message in order; of those with fixed width, only the number.
class MessageReader {
   public:
    explicit MessageReader(ByteView bytes) : reader_(bytes) {}

    // Nothing at the end, or where the bytes are no message.
    std::optional<Field> next() {
        if (reader_.remaining() == 0 || !ok_) return std::nullopt;
        const std::uint64_t tag = read_varint();
        Field field{.number = tag >> 3, .value = 0, .bytes = {}};
        switch (tag & 7) {
            case Wire::varint: field.value = read_varint(); break;
            case Wire::fixed64: reader_.take(8); break;
            case Wire::length_delimited: field.bytes = reader_.take(read_varint()); break;
            case Wire::fixed32: reader_.take(4); break;
            default: ok_ = false;
        }
        if (!reader_.ok() || field.number == 0) ok_ = false;
        if (!ok_) return std::nullopt;
        return field;
    }
    [[nodiscard]] bool ok() const { return ok_; }

   private:
    std::uint64_t read_varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint8_t byte = reader_.u8();
            value |= std::uint64_t{byte & 0x7fU} << shift;
            if ((byte & 0x80) == 0) return value;
        }
        ok_ = false;
        return 0;
    }
    ByteReader reader_;
    bool ok_ = true;
};

struct OutputFile {
    std::string_view path;
    Blob blob;
};

void write_file(MessageWriter& result, std::string_view path, const Blob& blob) {
    MessageWriter digest;
    digest.bytes(1, view(to_hex(blob.digest)));
    digest.number(2, blob.size);
    MessageWriter file;
    file.bytes(1, view(path));
    file.bytes(2, digest.view());
    result.bytes(2, file.view());
}

std::optional<Blob> read_digest(ByteView bytes) {
    MessageReader reader(bytes);
    std::optional<Digest> digest;
    std::uint64_t size = 0;
    while (const auto field = reader.next()) {
        if (field->number == 1) digest = digest_from_hex(text(field->bytes));
        if (field->number == 2) size = field->value;
    }
    if (!reader.ok() || !digest || size > k_max_blob) return std::nullopt;
    return Blob{*digest, size};
}

std::optional<OutputFile> read_file(ByteView bytes) {
    MessageReader reader(bytes);
    std::string_view path;
    std::optional<Blob> blob;
    while (const auto field = reader.next()) {
        if (field->number == 1) path = text(field->bytes);
        if (field->number == 2) blob = read_digest(field->bytes);
    }
    if (!reader.ok() || !blob) return std::nullopt;
    return OutputFile{path, *blob};
}

// Files of other names are passed over. Whether this one is what its name says.
bool take_file(const OutputFile& file, Record& record) {
    const auto id = digest_from_hex(file.path.substr(0, k_digest_digits));
    if (!id) return true;
    const std::string_view rest = file.path.substr(k_digest_digits);
    auto variant = std::ranges::find(record.variants, *id, [](const Listed& listed) { return listed.manifest.digest; });
    if (rest == ".m") {
        if (file.blob.digest != *id || variant != record.variants.end()) return false;
        record.variants.push_back({file.blob, {}});
        return true;
    }
    if (!rest.starts_with('/')) return true;
    if (variant == record.variants.end() || digest_from_hex(rest.substr(1)) != file.blob.digest) return false;
    variant->objects.push_back(file.blob);
    return true;
}

}  // namespace

bool Record::add(const Listed& variant) {
    if (!variants.empty() && variants.front() == variant) return false;
    std::erase_if(variants, [&](const Listed& listed) { return listed.manifest.digest == variant.manifest.digest; });
    variants.insert(variants.begin(), variant);
    if (variants.size() > k_max_variants) variants.resize(k_max_variants);
    return true;
}

Bytes encode_record(const Record& record) {
    MessageWriter result;
    for (const Listed& variant : record.variants) {
        const std::string id = to_hex(variant.manifest.digest);
        write_file(result, id + ".m", variant.manifest);
        for (const Blob& object : variant.objects) write_file(result, id + "/" + to_hex(object.digest), object);
    }
    result.bytes(5, view(k_mark));
    MessageWriter metadata;
    metadata.bytes(1, view(k_worker));
    result.bytes(9, metadata.view());
    return std::move(result).finish();
}

Result<Record> decode_record(ByteView bytes) {
    const auto corrupt = [] { return fail(ErrorCode::corrupt, "it is no record of coldframe"); };
    if (bytes.size() > k_max_record_size) return corrupt();
    Record record;
    bool marked = false;
    std::vector<OutputFile> objects;
    MessageReader reader(bytes);
    // Manifests first: a server may have sorted the files.
    while (const auto field = reader.next()) {
        if (field->number == 5) marked = text(field->bytes) == k_mark;
        if (field->number != 2) continue;
        const std::optional<OutputFile> file = read_file(field->bytes);
        if (!file) return corrupt();
        if (!file->path.ends_with(".m")) {
            objects.push_back(*file);
        } else if (!take_file(*file, record)) {
            return corrupt();
        }
    }
    const bool sound = std::ranges::all_of(objects, [&](const OutputFile& file) { return take_file(file, record); });
    if (!reader.ok() || !marked || !sound || record.variants.size() > k_max_variants) return corrupt();
    return record;
}

}  // namespace coldframe::remote
