// Lists of names as the database's rows hold them: lines, each with its end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace evp::backend {

inline std::string to_lines(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& n : names) out += n + "\n";
  return out;
}

inline std::vector<std::string> from_lines(std::string_view text) {
  std::vector<std::string> out;
  for (auto end = text.find('\n'); end != text.npos; end = text.find('\n')) {
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace evp::backend
