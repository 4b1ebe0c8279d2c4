// JSON bodies and query strings of the REST API, read strictly: what is not understood is refused by name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "http/server.h"
#include "wire/json.h"

namespace evp::api {

namespace json = boost::json;

/// The body as one object; an empty body counts as {}. Errors: invalid_argument.
result<json::object> read_body(const http::server_request& r);
/// The query's parameters, decoded. Errors: invalid_argument at the parameter (unknown, twice, encoding).
result<std::map<std::string, std::string>> read_query(const http::server_request& r,
                                                      std::initializer_list<std::string_view> known);

/// An ISO 8601 duration of the body; nothing where it is absent. Errors: invalid_argument at the field.
result<std::optional<milliseconds>> optional_duration(const wire::json_reader& body, std::string_view field);

/// A list of the body; nothing where it is absent. Errors: invalid_argument at the field (something else than text in
/// it).
result<std::optional<std::vector<std::string>>> optional_names(const wire::json_reader& body, std::string_view field);
/// "group", as the scoped name of one of the tenant's (base/names.h); empty: absent. Errors: invalid_argument at it.
result<std::string> read_group(const wire::json_reader& body, std::string_view tenant);
json::array as_array(const std::vector<std::string>& names);

/// An answer with a JSON body and "Cache-Control: no-store".
http::server_response json_answer(int status, const json::value& body);
http::server_response no_content();

/// As a JSON string.
inline json::string as_json(std::string_view s) { return json::string(s.data(), s.size()); }
/// JSON text as the value it stands for; text that is none as a string; null when empty.
json::value embed(std::string_view json_text);
/// "/v1/devices/" + percent-encoded id, for Location.
std::string resource_path(std::string_view collection, std::string_view id);

}  // namespace evp::api
