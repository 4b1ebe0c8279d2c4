// What HTTP requests and answers look like on both sides: names shared by client and server.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evp::http {

struct header {
  std::string name;
  std::string value;
  friend bool operator==(const header&, const header&) = default;
};
using headers = std::vector<header>;

/// Header names compare without case (RFC 9110, 5.1).
inline bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}
/// The first value of that name, or empty.
inline std::string_view find(const headers& all, std::string_view name) {
  for (const auto& h : all)
    if (same_name(h.name, name)) return h.value;
  return {};
}

/// A range of an open file. The descriptor is borrowed: it must stay open until the exchange has ended.
struct file_range {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

}  // namespace evp::http
