#include "auth/credentials/issuer_exchange.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "base/encoding.h"

namespace evp::auth {
namespace {

namespace json = boost::json;

constexpr std::size_t text_max = 64 * 1024;
constexpr std::int64_t life_max_seconds = 366LL * 24 * 3600;

// What issuers say, where the status alone does not tell who must act. AWS STS:
// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html; OAuth: RFC 6749, 5.2, and RFC 8693, 2.2.2.
struct known_code {
  std::string_view name;
  errc code;
};
constexpr known_code known_codes[] = {
    {"invalid_client", errc::unauthenticated},
    {"invalid_grant", errc::unauthenticated},
    {"unauthorized_client", errc::permission_denied},
    {"access_denied", errc::permission_denied},
    {"temporarily_unavailable", errc::unavailable},
    {"server_error", errc::unavailable},
    {"InvalidClientTokenId", errc::unauthenticated},
    {"InvalidAccessKeyId", errc::unauthenticated},
    {"SignatureDoesNotMatch", errc::unauthenticated},
    {"ExpiredToken", errc::unauthenticated},
    {"ExpiredTokenException", errc::unauthenticated},
    {"InvalidIdentityToken", errc::unauthenticated},
    {"IDPRejectedClaim", errc::permission_denied},
    {"IDPCommunicationError", errc::unavailable},
    {"Throttling", errc::rate_limited},
    {"ThrottlingException", errc::rate_limited},
    {"RequestLimitExceeded", errc::rate_limited},
};

/// An issuer's code is text from outside: short, and of harmless characters, or nothing.
std::string clean_code(std::string_view code) {
  if (code.size() > 64) return {};
  for (const char c : code)
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == ' '))
      return {};
  return std::string(code);
}

errc code_of(int status, std::string_view code) {
  const auto first = code.substr(0, code.find(' '));
  for (const auto& k : known_codes)
    if (k.name == first) return k.code;
  if (status == 401) return errc::unauthenticated;
  if (status == 403) return errc::permission_denied;
  if (status == 404) return errc::not_found;
  if (status == 429) return errc::rate_limited;
  if (status == 408 || status >= 500) return errc::unavailable;
  if (status >= 300 && status < 400) return errc::failed_precondition;
  return errc::permission_denied;  // not invalid_argument: drivers say that of what a caller asks to be signed
}

std::optional<seconds> retry_after(const http::headers& fields) {
  const auto text = http::find(fields, "Retry-After");
  int whole = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (text.empty() || ec != std::errc() || end != text.data() + text.size() || whole < 0) return std::nullopt;
  return seconds(whole);
}

}  // namespace

http::request issuer_request(std::string method, std::string url, std::string ca_pem) {
  http::request r;
  r.method = std::move(method);
  r.url = secret(std::move(url));
  r.fields.push_back({"Accept", "application/json"});
  r.ca_pem = std::move(ca_pem);
  r.max_response_bytes = answer_max_bytes;
  r.connect_timeout = exchange_limit / 2;
  r.total_timeout = exchange_limit;
  return r;
}

http::request form_request(std::string url, const form& fields, std::string ca_pem) {
  auto r = issuer_request("POST", std::move(url), std::move(ca_pem));
  r.fields.push_back({"Content-Type", "application/x-www-form-urlencoded"});
  std::string body;
  for (const auto& [name, value] : fields)
    body.append(body.empty() ? "" : "&").append(percent_encode(name)).append("=").append(percent_encode(value));
  r.body = std::move(body);
  return r;
}

http::request json_request(std::string url, std::string body, std::string ca_pem) {
  auto r = issuer_request("POST", std::move(url), std::move(ca_pem));
  r.fields.push_back({"Content-Type", "application/json"});
  r.body = std::move(body);
  return r;
}

std::string json_text(std::string_view text) { return json::serialize(json::string(text)); }

struct issuer_fields::node {
  std::shared_ptr<const json::value> whole;
  const json::object* here;
  std::string issuer;

  const json::value* find(std::string_view path) const {
    const json::object* at = here;
    for (;;) {
      const auto slash = path.find('/');
      const auto* v = at->if_contains(path.substr(0, slash));
      if (!v || slash == path.npos) return v;
      at = v->if_object();
      if (!at) return nullptr;
      path.remove_prefix(slash + 1);
    }
  }
  tl::unexpected<error> lacks(std::string_view path) const {
    return fail(errc::unavailable, fmt::format("the answer of {} has no usable \"{}\"", issuer, path));
  }
};

result<issuer_fields> issuer_fields::parse(std::string_view body, std::string_view issuer) {
  json::error_code ec;
  auto v = std::make_shared<json::value>(json::parse(body, ec));
  if (ec || !v->is_object())
    return fail(errc::unavailable, fmt::format("{} did not answer JSON: check that the URL leads to it", issuer));
  issuer_fields out;
  const auto* here = &v->get_object();
  out.node_ = std::make_shared<node>(node{std::move(v), here, std::string(issuer)});
  return out;
}

result<std::string> issuer_fields::text(std::string_view path) const {
  auto t = text_or_empty(path);
  if (t.empty()) return node_->lacks(path);
  return t;
}

std::string issuer_fields::text_or_empty(std::string_view path) const {
  const auto* v = node_->find(path);
  if (!v || !v->is_string() || v->get_string().size() > text_max) return {};
  return std::string(v->get_string().data(), v->get_string().size());
}

result<std::int64_t> issuer_fields::integer(std::string_view path) const {
  const auto* v = node_->find(path);
  std::int64_t n = 0;
  if (v && v->is_string()) {
    const auto& s = v->get_string();
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
    if (ec == std::errc() && end == s.data() + s.size() && !s.empty()) return n;
  } else if (v && v->is_int64()) {
    return v->get_int64();
  }
  return node_->lacks(path);
}

std::vector<issuer_fields> issuer_fields::objects(std::string_view path) const {
  std::vector<issuer_fields> out;
  const auto* v = node_->find(path);
  if (!v || !v->is_array()) return out;
  for (const auto& member : v->get_array()) {
    if (!member.is_object()) continue;
    issuer_fields f;
    f.node_ = std::make_shared<node>(node{node_->whole, &member.get_object(), node_->issuer});
    out.push_back(std::move(f));
  }
  return out;
}

result<timestamp> expiry_in_seconds(const issuer_fields& answer, std::string_view path, timestamp now) {
  TRY(const auto life, answer.integer(path));
  if (life < 1 || life > life_max_seconds)
    return fail(errc::unavailable, fmt::format("the issuer gives a credential a life of {} s", life));
  return now + seconds(life);
}

error refusal(const http::response& answer, std::string_view issuer, std::string_view code, std::string_view advice) {
  const auto name = clean_code(code);
  const auto kind = code_of(answer.status, name);
  const bool redirected = answer.status >= 300 && answer.status < 400;
  error e(kind, fmt::format("{} answered {}{}{}: {}", issuer, answer.status, name.empty() ? "" : " ", name,
                            is_temporary(kind) ? "it is asked again later"
                            : redirected       ? "it sends us elsewhere; check the URL"
                                               : advice));
  if (const auto wait = retry_after(answer.fields)) return std::move(e).after(*wait);
  return e;
}

std::string oauth_error_code(std::string_view body) {
  const auto fields = issuer_fields::parse(body, "");
  if (!fields) return {};
  auto code = fields->text_or_empty("error");
  const auto description = fields->text_or_empty("error_description");
  if (!code.empty() && description.starts_with("AADSTS"))
    code.append(" ").append(description.substr(0, description.find_first_of(": ")));
  return code;
}

io::task<result<expiring<secret>>> fetch_access_token(http::transport& transport, const io::clock& clock,
                                                      http::request request, std::string issuer, std::string advice) {
  const auto asked_at = clock.now();  // its life may have begun then
  CO_TRY(const auto answer, co_await transport.send(std::move(request)));
  if (answer.status != 200) co_return fail(refusal(answer, issuer, oauth_error_code(answer.body), advice));
  CO_TRY(const auto fields, issuer_fields::parse(answer.body, issuer));
  CO_TRY(auto token, fields.text("access_token"));
  CO_TRY(const auto expires, expiry_in_seconds(fields, "expires_in", asked_at));
  expiring<secret> out{secret(std::move(token)), expires};
  co_return out;
}

}  // namespace evp::auth
