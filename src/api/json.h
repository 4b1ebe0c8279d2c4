// JSON bodies and query strings of the REST API, read strictly: what is not understood is refused by name.
#pragma once

#include <map>
#include <string>

#include "http/server.h"
#include "wire/json.h"

namespace evp::api {

namespace json = boost::json;

/// The body as one object; an empty body counts as {}. Errors: invalid_argument.
result<json::object> read_body(const http::server_request& r);
/// The query's parameters, decoded. Errors: invalid_argument at the parameter (unknown, twice, encoding).
result<std::map<std::string, std::string>> read_query(const http::server_request& r,
                                                      std::initializer_list<std::string_view> known);

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
