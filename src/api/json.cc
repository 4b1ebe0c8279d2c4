// JSON bodies and query strings of the REST API.
#include "api/json.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/names.h"

namespace evp::api {
namespace {

constexpr std::size_t max_body_bytes = 2 << 20;  // the routes have tighter bounds of their own

}  // namespace

result<json::object> read_body(const http::server_request& r) {
  if (r.body.empty()) return json::object();
  return wire::parse_json_object(r.body, max_body_bytes);
}

result<std::map<std::string, std::string>> read_query(const http::server_request& r,
                                                      std::initializer_list<std::string_view> known) {
  std::map<std::string, std::string> out;
  for (std::string_view rest = r.query; !rest.empty();) {
    const auto end = std::min(rest.find('&'), rest.size());
    const auto item = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (item.empty()) continue;
    const auto equals = std::min(item.find('='), item.size());
    auto name = percent_decode(item.substr(0, equals));
    auto value = percent_decode(item.substr(std::min(equals + 1, item.size())));
    if (!name || !is_utf8(*name)) return fail(errc::invalid_argument, "the query is not percent-encoded UTF-8");
    if (!value || !is_utf8(*value)) return fail(errc::invalid_argument, *name, *name + " is not percent-encoded UTF-8");
    if (std::find(known.begin(), known.end(), *name) == known.end()) {
      std::string list;
      for (const auto k : known) list += (list.empty() ? "" : ", ") + std::string(k);
      return fail(errc::invalid_argument, *name,
                  "unknown query parameter " + *name + (list.empty() ? "" : ": use " + list));
    }
    if (!out.emplace(*name, std::move(*value)).second)
      return fail(errc::invalid_argument, *name, *name + " occurs twice in the query: give it once");
  }
  return out;
}

result<std::optional<milliseconds>> optional_duration(const wire::json_reader& body, std::string_view field) {
  TRY(const auto text, body.optional_text(field, 64));
  if (!text) return std::nullopt;
  auto parsed = parse_iso8601_duration(*text);
  if (!parsed) return fail(std::move(std::move(parsed).error()).at(body.path_of(field)));
  return *parsed;
}

result<std::optional<std::vector<std::string>>> optional_names(const wire::json_reader& body, std::string_view field) {
  TRY(const auto* given, body.optional_array(field));
  if (!given) return std::nullopt;
  std::vector<std::string> out;
  for (const auto& v : *given) {
    if (!v.is_string())
      return fail(errc::invalid_argument, std::string(field), std::string(field) + " must be an array of strings");
    out.emplace_back(v.get_string().data(), v.get_string().size());
  }
  return std::optional(std::move(out));
}

result<std::string> read_group(const wire::json_reader& body, std::string_view tenant) {
  TRY(const auto group, body.optional_text("group", 1024));
  if (!group) return std::string();
  auto scoped = new_scoped_name(tenant, *group, "a device group's name");
  if (!scoped) return fail(std::move(std::move(scoped).error()).at("group"));
  return scoped;
}

json::array as_array(const std::vector<std::string>& names) {
  json::array out;
  for (const auto& n : names) out.emplace_back(as_json(n));
  return out;
}

http::server_response json_answer(int status, const json::value& body) {
  http::server_response out;
  out.status = status;
  out.fields = {{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
  out.body = json::serialize(body) + "\n";
  return out;
}

http::server_response no_content() {
  http::server_response out;
  out.status = 204;
  return out;
}

json::value embed(std::string_view json_text) {
  if (json_text.empty()) return nullptr;
  auto v = wire::parse_json(json_text, max_body_bytes);
  if (v) return std::move(*v);
  return as_json(json_text);
}

std::string resource_path(std::string_view collection, std::string_view id) {
  return "/v1/" + std::string(collection) + "/" + percent_encode(id);
}

}  // namespace evp::api
