// Columns that may be NULL, and values for them.
#pragma once

#include <optional>

#include "sql/database.h"

namespace evp::sql {

inline std::optional<std::string> optional_text(const row& r, std::string_view column) {
  if (r.is_null(column)) return std::nullopt;
  return r.text(column);
}
inline std::optional<std::int64_t> optional_number(const row& r, std::string_view column) {
  if (r.is_null(column)) return std::nullopt;
  return r.integer(column);
}

template <class T>
value or_null(const std::optional<T>& v) {
  return v ? value(*v) : value();
}

}  // namespace evp::sql
