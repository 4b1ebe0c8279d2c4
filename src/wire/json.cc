// The strict JSON parser: Boost.JSON's events, with the checks that its own value parser leaves out.
#include "wire/json.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>
#include <set>
#include <vector>

namespace evp::wire {
namespace {

// Builds the value from the parser's events. One set of keys per open object finds duplicates, which Boost.JSON's own
// parser resolves silently to the last: two readers of one text must never disagree on what it says.
struct strict_handler {
  static constexpr std::size_t max_object_size = 65536;
  static constexpr std::size_t max_array_size = 65536;
  static constexpr std::size_t max_key_size = 4096;
  static constexpr std::size_t max_string_size = 4 << 20;
  using error_code = boost::json::error_code;

  json::value_stack stack;
  std::vector<std::set<std::string, std::less<>>> keys;
  std::string key;
  std::string complaint;
  std::string complaint_field;

  bool refuse(error_code& ec, std::string text, std::string field = {}) {
    complaint = std::move(text);
    complaint_field = std::move(field);
    ec = boost::json::make_error_code(boost::json::error::syntax);
    return false;
  }

  bool on_document_begin(error_code&) {
    stack.reset();
    return true;
  }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    keys.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t n, error_code&) {
    keys.pop_back();
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t n, error_code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view s, std::size_t, error_code&) {
    key.append(s.data(), s.size());
    stack.push_chars(s);
    return true;
  }
  bool on_key(json::string_view s, std::size_t, error_code& ec) {
    key.append(s.data(), s.size());
    if (!keys.back().insert(key).second)
      return refuse(ec, fmt::format("the key \"{}\" occurs twice: give it once", key.substr(0, 64)), key.substr(0, 64));
    key.clear();
    stack.push_key(s);
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, error_code&) {
    stack.push_chars(s);
    return true;
  }
  bool on_string(json::string_view s, std::size_t, error_code&) {
    stack.push_string(s);
    return true;
  }
  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t i, json::string_view, error_code&) {
    stack.push_int64(i);
    return true;
  }
  bool on_uint64(std::uint64_t u, json::string_view, error_code&) {
    stack.push_uint64(u);
    return true;
  }
  bool on_double(double d, json::string_view, error_code& ec) {
    if (!std::isfinite(d)) return refuse(ec, "a number is too large");
    stack.push_double(d);
    return true;
  }
  bool on_bool(bool b, error_code&) {
    stack.push_bool(b);
    return true;
  }
  bool on_null(error_code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }
};

}  // namespace

result<json::value> parse_json(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes)
    return fail(errc::too_large, fmt::format("the JSON text has {} bytes, {} are allowed", text.size(), max_bytes));
  json::parse_options options;
  options.max_depth = max_json_depth;
  json::basic_parser<strict_handler> parser(options);
  boost::json::error_code ec;
  const auto used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec) {
    auto& h = parser.handler();
    if (!h.complaint.empty()) return fail(errc::invalid_argument, std::move(h.complaint_field), std::move(h.complaint));
    return fail(errc::invalid_argument, fmt::format("not valid JSON at byte {}: {}", used, ec.message()));
  }
  if (text.substr(used).find_first_not_of(" \t\r\n") != text.npos)
    return fail(errc::invalid_argument, fmt::format("not valid JSON at byte {}: text after the end", used));
  return parser.handler().stack.release();
}

result<json::object> parse_json_object(std::string_view text, std::size_t max_bytes) {
  TRY(auto v, parse_json(text, max_bytes));
  if (!v.is_object()) return fail(errc::invalid_argument, "a JSON object is needed");
  return std::move(v.get_object());
}

bool is_decimal_id(std::string_view text) noexcept {
  if (text.empty() || text.size() > 20) return false;
  for (const char c : text)
    if (c < '0' || c > '9') return false;
  return true;
}

result<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t v = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size())
    return fail(errc::invalid_argument, "a string of decimal digits below 2^64 is needed");
  return v;
}

std::string json_reader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const json::value* json_reader::find(std::string_view key) const {
  const auto* v = object_.if_contains(json::string_view(key.data(), key.size()));
  return v && !v->is_null() ? v : nullptr;
}

bool json_reader::has(std::string_view key) const { return find(key) != nullptr; }

tl::unexpected<error> json_reader::wrong_type(std::string_view key, std::string_view wanted) const {
  if (find(key)) return fail(errc::invalid_argument, path_of(key), fmt::format("{} must be {}", path_of(key), wanted));
  return fail(errc::invalid_argument, path_of(key), fmt::format("{} is missing: give {}", path_of(key), wanted));
}

result<std::optional<std::string>> json_reader::optional_text(std::string_view key, std::size_t max_bytes) const {
  const auto* v = find(key);
  if (!v) return std::optional<std::string>();
  if (!v->is_string()) return wrong_type(key, "a string");
  const auto& s = v->get_string();
  if (s.size() > max_bytes)
    return fail(errc::too_large, path_of(key),
                fmt::format("{} must not be longer than {} bytes", path_of(key), max_bytes));
  return std::optional<std::string>(std::string(s.data(), s.size()));
}

result<std::string> json_reader::text(std::string_view key, std::size_t max_bytes) const {
  TRY(auto v, optional_text(key, max_bytes));
  if (!v) return wrong_type(key, "a string");
  return std::move(*v);
}

result<std::optional<bool>> json_reader::optional_boolean(std::string_view key) const {
  const auto* v = find(key);
  if (!v) return std::optional<bool>();
  if (!v->is_bool()) return wrong_type(key, "true or false");
  return std::optional<bool>(v->get_bool());
}

result<std::optional<std::int64_t>> json_reader::optional_integer(std::string_view key) const {
  const auto* v = find(key);
  if (!v) return std::optional<std::int64_t>();
  if (!v->is_int64()) return wrong_type(key, "a whole number");
  return std::optional<std::int64_t>(v->get_int64());
}

result<std::optional<std::uint64_t>> json_reader::optional_decimal(std::string_view key) const {
  TRY(auto text, optional_text(key, 64));
  if (!text) return std::optional<std::uint64_t>();
  auto v = parse_decimal(*text);
  if (!v) return wrong_type(key, "a string of decimal digits below 2^64");
  return std::optional<std::uint64_t>(*v);
}

result<std::optional<json_reader>> json_reader::optional_object(std::string_view key) const {
  const auto* v = find(key);
  if (!v) return std::optional<json_reader>();
  if (!v->is_object()) return wrong_type(key, "an object");
  return std::optional<json_reader>(json_reader(v->get_object(), path_of(key)));
}

result<json_reader> json_reader::object(std::string_view key) const {
  const auto* v = find(key);
  if (!v || !v->is_object()) return wrong_type(key, "an object");
  return json_reader(v->get_object(), path_of(key));
}

result<const json::array*> json_reader::optional_array(std::string_view key) const {
  const auto* v = find(key);
  if (!v) return static_cast<const json::array*>(nullptr);
  if (!v->is_array()) return wrong_type(key, "an array");
  return &v->get_array();
}

result<void> json_reader::only(std::initializer_list<std::string_view> known) const {
  for (const auto& field : object_) {
    const std::string_view key(field.key().data(), field.key().size());
    bool found = false;
    for (const auto name : known) found = found || name == key;
    if (found) continue;
    std::string list;
    for (const auto name : known) list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
    const auto shown = path_of(key.substr(0, 64));
    return fail(errc::invalid_argument, shown, fmt::format("unknown field {}: use {}", shown, list));
  }
  return {};
}

}  // namespace evp::wire
