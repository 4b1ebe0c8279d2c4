#include "auth/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace evp::auth {
namespace {

std::string control(unsigned char c) {
  constexpr std::string_view short_forms = "btn?fr";  // from 8 on; 11 has none
  if (c >= 8 && c <= 13 && c != 11) return {'\\', short_forms[c - 8u]};
  return fmt::format("\\u{:04x}", c);
}

/// One code point of UTF-8 as \uXXXX, beyond the basic plane as two; answers how many bytes it had.
std::size_t append_escaped(std::string& out, std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = std::min<std::size_t>(first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2, text.size());
  std::uint32_t point = first & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) point = point << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
  if (point >= 0x10000) {
    point -= 0x10000;
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (point >> 10), 0xdc00 + (point & 0x3ff));
  } else {
    out += fmt::format("\\u{:04x}", point);
  }
  return length;
}

}  // namespace

std::string json_quoted(std::string_view text, bool escape_beyond_ascii) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\')
      out.append({'\\', char(c)});
    else if (c < 0x20)
      out += control(c);
    else if (c >= 0x80 && escape_beyond_ascii)
      i += append_escaped(out, text.substr(i)) - 1;
    else
      out += char(c);
  }
  return out += '"';
}

}  // namespace evp::auth
