// Owned bytes, and views of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace coldframe {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

}  // namespace coldframe
