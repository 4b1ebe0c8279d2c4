// /v1/enroll and EST: how devices get their certificates. /v1/enrolment-tokens: who may.
#include "api/errors.h"
#include "api/pages.h"
#include "api/rest.h"
#include "base/encoding.h"
#include "base/names.h"

namespace evp::api {
namespace {

json::object write(const backend::enrolment_token& t) {
  json::object o;
  o.emplace("id", as_json(t.id));
  if (t.device) o.emplace("device", as_json(local_name(*t.device)));
  if (!t.group.empty()) o.emplace("group", as_json(local_name(t.group)));
  o.emplace("usesLeft", t.uses_left);
  o.emplace("createdAt", as_json(format_rfc3339(t.created_at)));
  o.emplace("expiresAt", as_json(format_rfc3339(t.expires_at)));
  return o;
}

io::task<result<http::server_response>> create_token(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"device", "uses", "expirationDuration", "group"}));
  CO_TRY(auto device, body.optional_text("device", 1024));
  CO_TRY(const auto uses, body.optional_integer("uses"));
  CO_TRY(const auto duration, optional_duration(body, "expirationDuration"));
  const auto lifetime = duration.value_or(backend::enrolment::default_token_lifetime);
  CO_TRY(auto group, read_group(body, caller_of(r).tenant));
  auto by = origin_of(r);
  const auto count = std::uint64_t(std::max<std::int64_t>(0, uses.value_or(1)));
  CO_TRY(const auto made, co_await c.backend->enrolment.create_token(caller_of(r).tenant, std::move(device), count,
                                                                     lifetime, std::move(by), std::move(group)));
  auto o = write(made.token);
  o.emplace("token", as_json(made.text.reveal()));
  auto out = json_answer(201, o);
  out.fields.push_back({"Location", resource_path("enrolment-tokens", made.token.id)});
  co_return out;
}

io::task<result<http::server_response>> list_tokens(rest_context& c, http::server_request& r) {
  CO_TRY(const auto query, read_query(r, {}));
  CO_TRY(const auto found, co_await c.backend->enrolment.list_tokens(caller_of(r).tenant));
  co_return json_answer(200, write_list("enrolmentTokens", found, [](const auto& t) { return write(t); }));
}

io::task<result<http::server_response>> remove_token(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "token");
  auto by = origin_of(r);
  CO_CHECK(co_await c.backend->enrolment.remove_token(caller_of(r).tenant, std::move(id), std::move(by)));
  co_return no_content();
}

json::object write(const sql::certificate_row& row) {
  const auto time = [](std::int64_t ms) { return as_json(format_rfc3339(timestamp(milliseconds(ms)))); };
  json::object o;
  o.emplace("serial", as_json(row.serial));
  o.emplace("issuedAt", time(row.created_at));
  o.emplace("expiresAt", time(row.expires_at));
  if (row.revoked_at != 0) o.emplace("revokedAt", time(row.revoked_at));
  return o;
}

io::task<result<http::server_response>> certificates(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id");
  CO_CHECK(c.backend->devices.get(id));
  CO_TRY(const auto found, co_await c.backend->enrolment.certificates(std::move(id)));
  co_return json_answer(200, write_list("certificates", found, [](const auto& row) { return write(row); }));
}

io::task<result<http::server_response>> revoke(rest_context& c, http::server_request& r) {
  std::string id = parameter(r, "id"), serial = parameter(r, "serial");
  CO_CHECK(c.backend->devices.get(id));
  auto by = origin_of(r);
  CO_TRY(const auto done, co_await c.backend->enrolment.revoke(std::move(id), std::move(serial), std::move(by)));
  auto o = write(done.certificate);
  if (done.broker) o.emplace("brokerError", error_object(*done.broker));
  co_return json_answer(200, o);
}

http::server_response answer(const rest_context& c, const backend::enrolled_device& made) {
  json::object o;
  o.emplace("id", as_json(local_name(made.device)));
  o.emplace("username", as_json(made.device));
  o.emplace("certificate", as_json(made.certificate.pem));
  o.emplace("issuer", as_json(c.backend->enrolment.authority_certificate()));
  o.emplace("expiresAt", as_json(format_rfc3339(made.certificate.not_after)));
  return json_answer(201, o);
}

io::task<result<http::server_response>> enrol(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"token", "csr", "id"}));
  CO_TRY(auto token, body.text("token", 1024));
  CO_TRY(auto csr, body.text("csr", signing_request::max_bytes));
  CO_TRY(auto id, body.optional_text("id", 1024));
  secret given(std::move(token));
  auto by = origin_of(r);
  CO_TRY(const auto made,
         co_await c.backend->enrolment.enrol(std::move(given), std::move(csr), std::move(id), std::move(by)));
  co_return answer(c, made);
}

io::task<result<http::server_response>> renew(rest_context& c, http::server_request& r) {
  CO_TRY(const auto object, read_body(r));
  const wire::json_reader body(object);
  CO_CHECK(body.only({"certificate", "csr", "signature"}));
  CO_TRY(auto certificate, body.text("certificate", signing_request::max_bytes));
  CO_TRY(auto csr, body.text("csr", signing_request::max_bytes));
  CO_TRY(auto signature, body.text("signature", 4096));
  auto done = c.backend->enrolment.renew(std::move(certificate), std::move(csr), std::move(signature), origin_of(r));
  CO_TRY(const auto made, co_await std::move(done));
  co_return answer(c, made);
}

// ---- EST, RFC 7030 ----

/// The password of "Authorization: Basic" (RFC 7617), which is the token; the user name says nothing.
result<secret> basic_password(const http::headers& fields) {
  const auto value = http::find(fields, "Authorization");
  constexpr std::string_view scheme = "Basic ";
  if (value.size() > scheme.size() && http::same_name(value.substr(0, scheme.size()), scheme)) {
    const auto pair = from_base64(value.substr(scheme.size()));
    if (const auto colon = pair ? pair->find(':') : std::string::npos; colon != std::string::npos)
      return secret(pair->substr(colon + 1));
  }
  return fail(errc::unauthenticated, "send the enrolment token as the password of \"Authorization: Basic\"");
}

result<http::server_response> est_answer(std::string_view pem) {
  http::server_response out;
  TRY(out.body, certificate_authority::as_pkcs7(pem));
  out.fields = {{"Content-Type", "application/pkcs7-mime; smime-type=certs-only"},
                {"Content-Transfer-Encoding", "base64"},
                {"Cache-Control", "no-store"}};
  return out;
}

io::task<result<http::server_response>> est_authorities(rest_context& c, http::server_request&) {
  if (!c.backend->enrolment.has_authority()) co_return fail(errc::not_found, "this backend issues no certificates");
  co_return est_answer(c.backend->enrolment.authority_certificate());
}

io::task<result<http::server_response>> est_enrol(rest_context& c, http::server_request& r) {
  CO_TRY(auto token, basic_password(r.fields));
  std::string csr = r.body;
  auto by = origin_of(r);
  CO_TRY(const auto made,
         co_await c.backend->enrolment.enrol(std::move(token), std::move(csr), std::nullopt, std::move(by)));
  co_return est_answer(made.certificate.pem);
}

/// RFC 7030, 4.2.2, over mutual TLS: the certificate says which device, whatever the request's subject is.
io::task<result<http::server_response>> est_renew(rest_context& c, http::server_request& r) {
  if (r.client_certificate.empty())
    co_return fail(errc::unauthenticated,
                   "show the device's certificate in the TLS handshake, without a proxy that ends TLS in between; "
                   "POST /v1/enroll/renew works through proxies");
  std::string shown = r.client_certificate, csr = r.body;
  auto by = origin_of(r);
  CO_TRY(const auto made, co_await c.backend->enrolment.renew_shown(std::move(shown), std::move(csr), std::move(by)));
  co_return est_answer(made.certificate.pem);
}

}  // namespace

void add_enrolment_routes(http::router& to, rest_context& context) {
  namespace action = backend::action;
  namespace kind = backend::kind;
  constexpr http::route_options small{.max_body = 32 * 1024};
  add_route(to, context, level::open, "POST", "/v1/enroll", enrol, small, {action::certificate_issue, kind::device});
  add_route(to, context, level::open, "POST", "/v1/enroll/renew", renew, small,
            {action::certificate_renew, kind::device});
  add_route(to, context, level::open, "GET", "/.well-known/est/cacerts", est_authorities);
  add_route(to, context, level::open, "POST", "/.well-known/est/simpleenroll", est_enrol, small,
            {action::certificate_issue, kind::device});
  add_route(to, context, level::open, "POST", "/.well-known/est/simplereenroll", est_renew, small,
            {action::certificate_renew, kind::device});
  add_route(to, context, level::operate, "POST", "/v1/enrolment-tokens", create_token, small,
            {action::enrolment_create, kind::enrolment});
  add_route(to, context, level::view, "GET", "/v1/enrolment-tokens", list_tokens);
  add_route(to, context, level::operate, "DELETE", "/v1/enrolment-tokens/{token}", remove_token, {},
            {action::enrolment_remove, kind::enrolment});
  add_route(to, context, level::view, "GET", "/v1/devices/{id}/certificates", certificates);
  add_route(to, context, level::operate, "DELETE", "/v1/devices/{id}/certificates/{serial}", revoke, {},
            {action::certificate_revoke, kind::device});
}

}  // namespace evp::api
