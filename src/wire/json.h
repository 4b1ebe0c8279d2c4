// Strict reading of JSON from outside: bounded, at most 32 levels deep, checked UTF-8, no duplicate keys, finite
// numbers.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace evp::wire {

namespace json = boost::json;

inline constexpr std::size_t max_json_depth = 32;

/// One JSON value and nothing after it but white space. Any thread. Errors: too_large (more than max_bytes),
/// invalid_argument (says at which byte, or which key occurs twice).
result<json::value> parse_json(std::string_view text, std::size_t max_bytes);
/// Like parse_json; invalid_argument too where the value is no object.
result<json::object> parse_json_object(std::string_view text, std::size_t max_bytes);

/// Text of 1 to 20 decimal digits, as reqids and topic ids are.
bool is_decimal_id(std::string_view text) noexcept;
/// A decimal number of digits only. Errors: invalid_argument (other characters, or beyond 64 bits).
result<std::uint64_t> parse_decimal(std::string_view text);

/// Reads the fields of one object. Each error is invalid_argument (too_large for a long text) at the field's path
/// ("instanceSpecs.up.moduleId"). A field that is null counts as absent. Borrows the object.
class json_reader {
 public:
  explicit json_reader(const json::object& o, std::string path = {}) : object_(o), path_(std::move(path)) {}

  bool has(std::string_view key) const;
  result<std::string> text(std::string_view key, std::size_t max_bytes = 64 * 1024) const;
  result<std::optional<std::string>> optional_text(std::string_view key, std::size_t max_bytes = 64 * 1024) const;
  result<std::optional<bool>> optional_boolean(std::string_view key) const;
  /// A JSON number without a fraction.
  result<std::optional<std::int64_t>> optional_integer(std::string_view key) const;
  /// A decimal string, the form in which numbers that can be large travel.
  result<std::optional<std::uint64_t>> optional_decimal(std::string_view key) const;
  result<json_reader> object(std::string_view key) const;
  result<std::optional<json_reader>> optional_object(std::string_view key) const;
  result<const json::array*> optional_array(std::string_view key) const;  ///< null where absent

  /// Errors: invalid_argument at the first field that is not among the known ones, naming these.
  result<void> only(std::initializer_list<std::string_view> known) const;

  const json::object& fields() const noexcept { return object_; }
  std::string path_of(std::string_view key) const;

 private:
  const json::value* find(std::string_view key) const;
  tl::unexpected<error> wrong_type(std::string_view key, std::string_view wanted) const;

  const json::object& object_;
  std::string path_;
};

}  // namespace evp::wire
