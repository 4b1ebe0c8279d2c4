#include "api/oidc.h"

#include <rhonabwy.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/freed.h"
#include "base/names.h"
#include "wire/json.h"

namespace evp::api {
namespace {

using jwks = std::unique_ptr<jwks_t, freed<::r_jwks_free>>;
using jwk = std::unique_ptr<jwk_t, freed<::r_jwk_free>>;
using jwt = std::unique_ptr<jwt_t, freed<::r_jwt_free>>;
using text = std::unique_ptr<char, freed<::r_free>>;

// The library would fetch what a token's header names.
constexpr int from_nowhere_else = R_FLAG_IGNORE_REMOTE;

tl::unexpected<error> refuse(std::string why) { return fail(errc::unauthenticated, std::move(why)); }

bool is_signature_of_the_issuer(jwa_alg alg) {
  switch (alg) {
    case R_JWA_ALG_RS256:
    case R_JWA_ALG_RS384:
    case R_JWA_ALG_RS512:
    case R_JWA_ALG_PS256:
    case R_JWA_ALG_PS384:
    case R_JWA_ALG_PS512:
    case R_JWA_ALG_ES256:
    case R_JWA_ALG_ES384:
    case R_JWA_ALG_ES512:
    case R_JWA_ALG_EDDSA: return true;
    default: return false;
  }
}

std::optional<timestamp> time_of(const wire::json::object& claims, std::string_view name) {
  const auto* v = claims.if_contains(name);
  if (!v || !v->is_number()) return std::nullopt;
  const double s = v->to_number<double>();  // RFC 7519, 2: NumericDate may have a fraction
  if (!(s >= 0 && s < 1e11)) return std::nullopt;
  return timestamp(milliseconds(std::int64_t(s * 1000)));
}

/// A text, or an array of texts among other things.
std::vector<std::string_view> texts_of(const wire::json::object& claims, std::string_view name) {
  std::vector<std::string_view> out;
  const auto add = [&](const wire::json::value& v) {
    if (const auto* s = v.if_string()) out.emplace_back(s->data(), s->size());
  };
  const auto* v = claims.if_contains(name);
  if (v && v->is_array())
    for (const auto& one : v->get_array()) add(one);
  else if (v)
    add(*v);
  return out;
}

/// Or stays on this machine.
bool goes_by_tls(std::string_view url) {
  if (url.starts_with("https://")) return url.size() > 8;
  for (const std::string_view here : {"http://127.0.0.1", "http://localhost"})
    if (url.starts_with(here) && (url.size() == here.size() || url[here.size()] == ':' || url[here.size()] == '/'))
      return url.find('@') == url.npos;
  return false;
}

}  // namespace

struct oidc_issuer::keys {
  jwks all;
};

std::optional<oidc_role> oidc_role_from(std::string_view text) {
  constexpr std::string_view ours = "evp:";
  if (!text.starts_with(ours)) return std::nullopt;
  text.remove_prefix(ours.size());
  const auto colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto what = backend::role_from_string(text.substr(colon + 1));
  if (!what) return std::nullopt;
  const auto tenant = text.substr(0, colon);
  if (tenant == "*") return oidc_role{std::nullopt, *what};
  if (tenant == backend::access::own_tenant) return oidc_role{std::string(), *what};
  if (!check_name(tenant, "tenant")) return std::nullopt;
  return oidc_role{std::string(tenant), *what};
}

result<void> check_oidc_issuer(std::string_view url) {
  if (goes_by_tls(url) && url.find_first_of("?#@ \\") == url.npos) return {};
  return fail(errc::invalid_argument, "must be an https URL without a query, as tokens have it in iss");
}

oidc_issuer::oidc_issuer(io::executor ex, http::transport& t, const io::clock& c, oidc_options o)
    : transport_(t), clock_(c), options_(std::move(o)), wake_(ex), tasks_(ex) {
  static const bool ready = ::r_global_init() == RHN_OK;
  if (!ready) spdlog::error("librhonabwy cannot be used: no token of {} will be accepted", options_.issuer);
}
oidc_issuer::~oidc_issuer() = default;

void oidc_issuer::start() { tasks_.spawn(keep_current()); }
io::task<void> oidc_issuer::stop() { return tasks_.stop(); }

io::task<void> oidc_issuer::keep_current() {
  for (;;) {
    asked_ = clock_.steady();
    const auto done = co_await fetch();
    const bool over = co_await io::is_cancelled();
    if (over) co_return;
    if (!done) spdlog::warn("the keys of {} could not be fetched: {}", options_.issuer, done.error().message());
    wake_.expires_after(done ? refresh_every : retry_every);
    boost::system::error_code ec;
    co_await wake_.async_wait(io::asio::redirect_error(io::asio::use_awaitable, ec));
    const bool ended = co_await io::is_cancelled();
    if (ended) co_return;
  }
}

io::task<result<std::string>> oidc_issuer::get(std::string url, std::string what) {
  http::request r;
  r.url = secret(std::move(url));
  r.fields.push_back({"Accept", "application/json"});
  r.ca_pem = options_.ca_pem;
  r.max_response_bytes = max_answer_bytes;
  r.total_timeout = retry_every;
  CO_TRY(auto answer, co_await transport_.send(std::move(r)));
  if (answer.status != 200) co_return fail(errc::unavailable, what + ": HTTP status " + std::to_string(answer.status));
  co_return std::move(answer.body);
}

io::task<result<void>> oidc_issuer::fetch() {
  auto base = options_.issuer;  // OpenID Connect Discovery 1.0, 4: a slash at the end goes
  if (base.ends_with('/')) base.pop_back();
  CO_TRY(const auto about, co_await get(base + "/.well-known/openid-configuration", "its configuration"));
  CO_TRY(const auto configuration, wire::parse_json_object(about, max_answer_bytes));
  const wire::json_reader fields(configuration);
  CO_TRY(const auto name, fields.text("issuer"));
  if (name != options_.issuer)  // OpenID Connect Discovery 1.0, 4.3
    co_return fail(errc::failed_precondition, "its configuration is that of another issuer, " + name);
  CO_TRY(const auto where, fields.text("jwks_uri"));
  if (!goes_by_tls(where)) co_return fail(errc::failed_precondition, "its keys are not at an https URL");
  CO_TRY(const auto body, co_await get(where, "its keys"));
  auto fresh = std::make_unique<keys>();
  jwks_t* made = nullptr;
  if (::r_jwks_init(&made) != RHN_OK) co_return fail(errc::internal, "no memory for keys");
  fresh->all.reset(made);
  // Keys of a kind that the library does not know are left out; the others count.
  if (::r_jwks_import_from_json_str(fresh->all.get(), body.c_str()) == RHN_ERROR || ::r_jwks_size(made) == 0)
    co_return fail(errc::unavailable, "its answer holds no keys");
  if (!keys_) spdlog::info("tokens of {} are accepted: it has {} keys", options_.issuer, ::r_jwks_size(made));
  keys_ = std::move(fresh);
  co_return result<void>();
}

bool oidc_issuer::is_token(std::string_view text) { return std::count(text.begin(), text.end(), '.') == 2; }

result<std::string> oidc_issuer::verified_claims(std::string_view token) {
  if (token.size() > max_token_bytes) return refuse("the token is longer than 16 KiB");
  jwt_t* made = nullptr;
  if (::r_jwt_init(&made) != RHN_OK) return fail(errc::internal, "no memory for a token");
  const jwt t(made);
  if (::r_jwt_advanced_parsen(made, token.data(), token.size(), R_PARSE_NONE, from_nowhere_else) != RHN_OK)
    return refuse("this is no signed token (JWT)");
  if (!is_signature_of_the_issuer(::r_jwt_get_sign_alg(made)))
    return refuse("the token is not signed in a way that only its issuer can sign: RS256 or ES256, for example");
  if (::r_jwt_get_header_str_value(made, "crit")) return refuse("the token demands what we do not know (crit)");

  const char* id = ::r_jwt_get_header_str_value(made, "kid");
  jwk key;
  if (keys_ && id) key.reset(::r_jwks_get_by_kid(keys_->all.get(), id));
  if (keys_ && !id && ::r_jwks_size(keys_->all.get()) == 1) key.reset(::r_jwks_get_at(keys_->all.get(), 0));
  if (!key) {
    const bool just_asked = keys_ && asked_ && clock_.steady() - *asked_ < retry_every;
    if (just_asked) return refuse("the issuer has no key of the id that the token names");
    if (keys_) wake_.cancel();  // it may be new
    return fail(error(errc::unavailable, "the issuer's keys are being asked for: try again").after(seconds(1)));
  }
  if (::r_jwt_verify_signature(made, key.get(), from_nowhere_else) != RHN_OK)
    return refuse("the token's signature is not its issuer's");
  const text claims(::r_jwt_get_full_claims_str(made));
  return std::string(claims ? claims.get() : "");
}

result<oidc_bearer> oidc_issuer::authenticate(std::string_view token) {
  TRY(const auto json, verified_claims(token));
  const auto claims = wire::parse_json_object(json, max_token_bytes);
  if (!claims) return refuse("the token's claims are no JSON object");
  const auto is = [&](std::string_view name, std::string_view wanted) {
    const auto all = texts_of(*claims, name);
    return std::find(all.begin(), all.end(), wanted) != all.end();
  };
  if (!is("iss", options_.issuer)) return refuse("the token is of another issuer than " + options_.issuer);
  if (!is("aud", options_.audience)) return refuse("the token is for another audience than " + options_.audience);
  const auto expires = time_of(*claims, "exp");
  if (!expires) return refuse("the token says no time at which it ends (exp)");
  if (clock_.now() >= *expires + leeway) return refuse("the token has ended (exp): get a fresh one");
  const auto begins = time_of(*claims, "nbf");
  if (begins && clock_.now() + leeway < *begins) return refuse("the token is not good yet (nbf)");

  oidc_bearer out;
  const auto subject = texts_of(*claims, "sub");
  if (subject.size() != 1 || subject[0].empty() || subject[0].size() > max_subject_bytes)
    return refuse("the token must say whose it is (sub), in 1 to 200 bytes");
  out.subject = subject[0];
  for (const auto one : texts_of(*claims, options_.roles_claim))
    if (auto role = oidc_role_from(one)) out.roles.push_back(std::move(*role));
  return out;
}

}  // namespace evp::api
