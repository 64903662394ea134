#include <coldframe/util/digest.hpp>

#include <openssl/evp.h>

#include <new>
#include <stdexcept>

namespace coldframe {
namespace {

// Fetched once: OpenSSL looks an algorithm up by name at every EVP_sha256() use, which costs more than hashing a page.
const EVP_MD* algorithm() {
    static const EVP_MD* const sha = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (sha == nullptr) throw std::runtime_error("this OpenSSL has no SHA-256");
    return sha;
}

void check(int result) {
    if (result != 1) throw std::runtime_error("OpenSSL cannot compute SHA-256");
}

int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
}

}  // namespace

struct Sha256::State {
    EVP_MD_CTX* context = nullptr;

    State() : context(EVP_MD_CTX_new()) {
        if (context == nullptr) throw std::bad_alloc();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) { check(EVP_DigestInit_ex2(state_->context, algorithm(), nullptr)); }
Sha256::~Sha256() = default;

void Sha256::update(ByteView bytes) { check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size())); }

Digest Sha256::finish() {
    Digest digest{};
    check(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr));
    return digest;
}

Digest sha256(ByteView bytes) {
    Digest digest{};
    check(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, algorithm(), nullptr));
    return digest;
}

std::string to_hex(const Digest& digest) {
    static constexpr std::string_view k_digits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * digest.size());
    for (const std::uint8_t byte : digest) {
        text += k_digits[byte >> 4];
        text += k_digits[byte & 15];
    }
    return text;
}

std::optional<Digest> digest_from_hex(std::string_view text) {
    Digest digest{};
    if (text.size() != 2 * digest.size()) return std::nullopt;
    for (std::size_t i = 0; i < digest.size(); ++i) {
        const int high = hex_value(text[2 * i]);
        const int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        digest[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return digest;
}

}  // namespace coldframe
