#include <coldframe/model/code_object.hpp>

#include <coldframe/model/value_codec.hpp>

namespace coldframe {
namespace {

// Code that cannot be encoded (a string that is no UTF-8, constants nested too deeply) cannot be saved either; it gets a
// digest that no encodable code has.
Digest digest_of(const CodeFields& fields, CodeDetail detail) {
    cbor::Writer writer;
    write_code(writer, fields, 0, detail);
    const Result<Bytes> bytes = std::move(writer).finish();
    return bytes ? sha256(*bytes) : Digest{};
}

}  // namespace

const Digest& CodeObject::digest() const {
    std::call_once(digest_once_, [this] { digest_ = digest_of(fields_, CodeDetail::full); });
    return digest_;
}

const Digest& CodeObject::semantic_digest() const {
    std::call_once(semantic_once_, [this] { semantic_digest_ = digest_of(fields_, CodeDetail::semantic); });
    return semantic_digest_;
}

}  // namespace coldframe
