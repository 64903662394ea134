// Manifests, whose parts are there whatever their numbers: what decodes, encodes to what decodes to the same.
#include <fuzz.hpp>

#include <coldframe/model/guard_codec.hpp>
#include <coldframe/model/package_codec.hpp>
#include <coldframe/model/value_codec.hpp>

using namespace coldframe;
using fuzz::require;

namespace {

// A code object, a guard program and a blob stand for all of their kind.
class SameParts final : public PartSource {
   public:
    Result<Bytes> read(PartKind kind, std::uint32_t) override { return kind == PartKind::code ? code_ : guards_; }
    Result<BlobPtr> blob(std::uint32_t, std::string name) override { return make_blob(std::move(name), {1, 2, 3}); }

   private:
    Bytes code_ = encode_code(CodeObject(CodeFields{})).value();
    Bytes guards_ = encode_guards(GuardProgram{}).value();
};

class NumberedParts final : public PartSink {
   public:
    Result<std::uint32_t> add(PartKind, Bytes) override { return ++count_; }
    Result<std::uint32_t> add(const BlobPtr&) override { return ++count_; }

   private:
    std::uint32_t count_ = 0;
};

Bytes encoded(const Package& package) {
    NumberedParts parts;
    return encode_manifest(package, parts).value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static SameParts parts;
    const ByteView bytes(data, size);
    if (const Result<Package> package = decode_manifest(bytes, parts, cbor::UnknownFields::reject)) {
        const Bytes again = encoded(*package);
        require(encoded(decode_manifest(again, parts, cbor::UnknownFields::reject).value()) == again);
        fuzz::accept();
    }
    static_cast<void>(decode_manifest(bytes, parts, cbor::UnknownFields::skip));
    return 0;
}
