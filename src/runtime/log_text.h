// Text from outside on its way into a log line: bounded, on one line.
#pragma once

#include <string>
#include <string_view>

namespace evp::runtime {

/// At most 300 bytes, control characters replaced by '?'.
inline std::string log_text(std::string_view text) {
  constexpr std::size_t max_bytes = 300;
  std::string out(text.substr(0, max_bytes));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > max_bytes) out += "...";
  return out;
}

}  // namespace evp::runtime
