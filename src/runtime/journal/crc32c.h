// CRC-32C (Castagnoli, RFC 3720, B.4): the check of journal frames.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace evp::runtime::journal {

namespace detail {
constexpr auto crc32c_table = [] {
  std::array<std::uint32_t, 256> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) ? (c >> 1) ^ 0x82f63b78U : c >> 1;
    t[i] = c;
  }
  return t;
}();
}  // namespace detail

/// The check of the bytes; `before` continues the check of what stands before them.
constexpr std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0) noexcept {
  std::uint32_t c = ~before;
  for (const char b : bytes) c = detail::crc32c_table[(c ^ std::uint8_t(b)) & 0xff] ^ (c >> 8);
  return ~c;
}

}  // namespace evp::runtime::journal
