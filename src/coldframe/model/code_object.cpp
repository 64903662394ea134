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

CodePtr without_directories(const CodePtr& code) {
    const CodeFields& fields = code->fields();
    CodeFields changed = fields;
    const bool is_path = !fields.filename.starts_with('<');  // as "<string>" is none
    if (is_path) changed.filename.erase(0, changed.filename.rfind('/') + 1);
    bool same = changed.filename == fields.filename;
    for (Value& constant : changed.consts) {
        const CodePtr* nested = constant.get_if<CodePtr>();
        if (nested == nullptr) continue;
        CodePtr inner = without_directories(*nested);
        same = same && inner == *nested;
        constant = std::move(inner);
    }
    return same ? code : std::make_shared<const CodeObject>(std::move(changed));
}

}  // namespace coldframe
