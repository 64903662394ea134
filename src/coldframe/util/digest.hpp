// SHA-256: the one digest of coldframe.
//
//   Digest d = sha256(bytes);
//   std::string name = to_hex(d);            // 64 lower-case digits
//
// Thread-safety: free functions are reentrant; one Sha256 serves one thread. Failure: from_hex yields nothing for bad text.
#pragma once

#include <coldframe/util/bytes.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace coldframe {

using Digest = std::array<std::uint8_t, 32>;

[[nodiscard]] Digest sha256(ByteView bytes);
[[nodiscard]] std::string to_hex(const Digest& digest);
[[nodiscard]] std::optional<Digest> digest_from_hex(std::string_view text);

class Sha256 {
   public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void update(ByteView bytes);
    [[nodiscard]] Digest finish();

   private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace coldframe
