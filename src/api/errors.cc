// The one error form of the HTTP API.
#include "api/errors.h"

#include <algorithm>

namespace evp::api {

json::object error_object(const error& e) {
  json::object o;
  o.emplace("code", as_json(to_string(e.code())));
  o.emplace("message", as_json(e.message()));
  if (!e.field().empty()) o.emplace("field", as_json(e.field()));
  return o;
}

http::server_response error_answer(const error& e) { return error_answer(http_status(e.code()), e); }

http::server_response error_answer(int status, const error& e) {
  json::object body;
  body.emplace("error", error_object(e));
  auto out = json_answer(status, body);
  if (status == 401) out.fields.push_back({"WWW-Authenticate", "Bearer realm=\"evp-backend\""});
  if (e.retry_after()) {
    const auto wait = std::chrono::ceil<seconds>(*e.retry_after()).count();
    out.fields.push_back({"Retry-After", std::to_string(std::max<long>(wait, 1))});
  }
  return out;
}

}  // namespace evp::api
