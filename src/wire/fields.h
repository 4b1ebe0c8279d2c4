// Checks and small writers that several codecs of this folder share. Private to src/wire.
#pragma once

#include <fmt/format.h>

#include "base/encoding.h"
#include "wire/json.h"
#include "wire/messages.h"

namespace evp::wire {

inline json::string_view view(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view view(const json::string& s) { return {s.data(), s.size()}; }
inline std::string text_of(const json::value& v) { return json::serialize(v); }

/// The reqid field if it is one; the topic's id where it is absent or bad, as the public agent does.
inline std::string reqid_or(const json_reader& r, std::string_view topic_id) {
  const auto* v = r.fields().if_contains("reqid");
  if (v && v->is_string() && is_decimal_id(view(v->get_string()))) return std::string(view(v->get_string()));
  return std::string(topic_id);
}

/// A SHA-256 in hexadecimal, lower-cased. Errors: invalid_argument at the field.
inline result<std::string> check_sha256(std::string text, const std::string& field) {
  auto bytes = from_hex(text);
  if (!bytes || bytes->size() != 32)
    return fail(errc::invalid_argument, field, fmt::format("{} must be a SHA-256: 64 hexadecimal digits", field));
  return to_hex(*bytes);
}

// What several messages hold (responses.cc).
json::object header_object(const std::vector<name_value>& headers);
/// The "headers" object; empty where there is none. Errors: too_large, invalid_argument (not what HTTP can carry).
result<std::vector<name_value>> read_headers(const json_reader& r);
/// The "expect" array; empty where there is none. Errors: invalid_argument.
result<std::vector<int>> read_expect(const json_reader& r);
/// A URL that can be sent as it stands. Errors: invalid_argument, too_large.
result<secret> read_url(const json_reader& r, std::string_view key);

// Plans (plan.cc).
json::object write_plan(const grant_plan& p);
result<grant_plan> read_plan(const json_reader& r);
json::array write_parts(const std::vector<grant_part>& parts);
/// The "parts" array of part objects, ascending. Errors: invalid_argument, too_large.
result<std::vector<grant_part>> read_parts(const json_reader& r);

}  // namespace evp::wire
