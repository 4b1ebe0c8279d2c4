// /openapi.json, the API as OpenAPI 3.1, and /docs, the same for people.
#include "api/compiled_in.h"
#include "api/errors.h"
#include "api/rest.h"
#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::api {
namespace {

/// The page runs this script and this style, and no other: https://www.w3.org/TR/CSP3/#grammardef-hash-source
const std::string& content_security_policy() {
  static const std::string policy = "default-src 'none'; connect-src 'self'; script-src 'sha256-" +
                                    to_base64(sha256(docs_script)) + "'; style-src 'sha256-" +
                                    to_base64(sha256(docs_style)) +
                                    "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  return policy;
}

http::server_response text_answer(std::string type, std::string body) {
  http::server_response out;
  out.fields = {
      {"Content-Type", std::move(type)}, {"Cache-Control", "no-cache"}, {"X-Content-Type-Options", "nosniff"}};
  out.body = std::move(body);
  return out;
}

io::task<result<http::server_response>> openapi(rest_context&, http::server_request&) {
  co_return text_answer("application/json", std::string(openapi_json));
}

io::task<result<http::server_response>> page(rest_context&, http::server_request&) {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>OpenEVP: REST API</title><style>";
  html.append(docs_style).append("</style></head><body><h1>OpenEVP: REST API</h1>");
  html +=
      "<noscript>This page shows <a href=\"openapi.json\">openapi.json</a> by a "
      "script.</noscript><main></main><script>";
  html.append(docs_script).append("</script></body></html>\n");
  auto out = text_answer("text/html; charset=utf-8", std::move(html));
  out.fields.push_back({"Content-Security-Policy", content_security_policy()});
  out.fields.push_back({"Referrer-Policy", "no-referrer"});
  co_return out;
}

}  // namespace

void add_docs_routes(http::router& to, rest_context& context) {
  add_route(to, context, level::open, "GET", "/openapi.json", openapi);
  add_route(to, context, level::open, "GET", "/docs", page);
}

}  // namespace evp::api
