// Sizes and counts as the database's rows hold them: its integers have a sign.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace evp::backend {

/// What is beyond an int64 becomes the greatest.
inline std::optional<std::int64_t> signed_size(const std::optional<std::uint64_t>& n) {
  return n ? std::optional(std::int64_t(std::min<std::uint64_t>(*n, INT64_MAX))) : std::nullopt;
}
inline std::optional<std::uint64_t> unsigned_size(const std::optional<std::int64_t>& n) {
  return n ? std::optional(std::uint64_t(*n)) : std::nullopt;
}

}  // namespace evp::backend
