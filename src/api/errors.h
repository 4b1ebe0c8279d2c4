// The one error form of the HTTP API: {"error":{"code","message","field"}}.
#pragma once

#include "api/json.h"

namespace evp::api {

/// {"code":...,"message":...,"field":...}; field only where there is one.
json::object error_object(const error& e);
/// Status by errc; Retry-After and WWW-Authenticate (RFC 6750, 3) where they belong.
http::server_response error_answer(const error& e);
/// With another status, where HTTP has a better one than the catalogue: 405, 412, 416, 431.
http::server_response error_answer(int status, const error& e);

}  // namespace evp::api
