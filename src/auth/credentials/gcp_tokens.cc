#include "auth/credentials/gcp_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/jwt.h"
#include "base/encoding.h"

namespace evp::auth {
namespace {

constexpr std::string_view issuer = "Google's token service";
constexpr std::string_view iam = "Google IAM";
constexpr std::string_view exchange_grant = "urn:ietf:params:oauth:grant-type:token-exchange";
constexpr std::string_view bearer_grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
constexpr std::string_view access_token_type = "urn:ietf:params:oauth:token-type:access_token";
constexpr std::string_view web_token_type = "urn:ietf:params:oauth:token-type:jwt";
constexpr seconds assertion_life{3600};      // the longest that Google takes
constexpr seconds impersonation_life{3600};  // the longest without a change of the organisation's policy

bool is_email(std::string_view s) {
  return s.size() >= 3 && s.size() <= 254 && s.find('@') != s.npos && std::all_of(s.begin(), s.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  std::string_view("@.-_+").find(c) != std::string_view::npos;
         });
}

class service_account_token final : public token_source {
 public:
  service_account_token(http::transport& t, const io::clock& c, gcp_service_account a, std::string scope)
      : transport_(t), clock_(c), account_(std::move(a)), scope_(std::move(scope)) {}

  io::task<result<expiring<secret>>> fetch() override {
    const auto now = std::chrono::floor<seconds>(clock_.now()).time_since_epoch().count();
    const auto header = fmt::format(R"({{"alg":"RS256","typ":"JWT","kid":{}}})", json_text(account_.key_id));
    const auto claims =
        fmt::format(R"({{"iss":{},"scope":{},"aud":{},"iat":{},"exp":{}}})", json_text(account_.email),
                    json_text(scope_), json_text(account_.token_url), now, now + assertion_life.count());
    form fields;
    fields.emplace_back("grant_type", bearer_grant);
    fields.emplace_back("assertion", sign_jwt(account_.key, header, claims).reveal());
    auto r = form_request(account_.token_url, fields);
    auto outcome = co_await fetch_access_token(transport_, clock_, std::move(r), std::string(issuer),
                                               "check that the service account and its key still exist");
    co_return outcome;
  }

 private:
  http::transport& transport_;
  const io::clock& clock_;
  gcp_service_account account_;
  std::string scope_;
};

class federated_token final : public token_source {
 public:
  federated_token(http::transport& t, const io::clock& c, gcp_federation how, token_folders folders)
      : transport_(t), clock_(c), how_(std::move(how)), folders_(std::move(folders)) {}

  io::task<result<expiring<secret>>> fetch() override {
    CO_TRY(const auto subject, folders_.read(how_.token_file));
    form fields;
    fields.emplace_back("grant_type", exchange_grant);
    fields.emplace_back("audience", how_.audience);
    fields.emplace_back("scope", how_.service_account.empty() ? how_.scope : std::string(gcp_cloud_scope));
    fields.emplace_back("requested_token_type", access_token_type);
    fields.emplace_back("subject_token_type", web_token_type);
    fields.emplace_back("subject_token", subject.reveal());
    auto r = form_request(how_.sts_url, fields, how_.ca_pem);
    CO_TRY(auto federated, co_await fetch_access_token(transport_, clock_, std::move(r), std::string(issuer),
                                                       "check audience, the provider's conditions and the token file"));
    if (how_.service_account.empty()) co_return federated;
    auto outcome = co_await impersonate(std::move(federated.value));
    co_return outcome;
  }

 private:
  /// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
  io::task<result<expiring<secret>>> impersonate(secret federated) {
    auto body =
        fmt::format(R"({{"scope":[{}],"lifetime":"{}s"}})", json_text(gcp_cloud_scope), impersonation_life.count());
    auto r = json_request(
        how_.iam_origin + "/v1/projects/-/serviceAccounts/" + how_.service_account + ":generateAccessToken",
        std::move(body), how_.ca_pem);
    r.fields.push_back({"Authorization", "Bearer " + federated.reveal()});
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200)
      co_return fail(
          refusal(answer, iam, "", "give the federated identity the role Workload Identity User on serviceAccount"));
    CO_TRY(const auto read, issuer_fields::parse(answer.body, iam));
    CO_TRY(auto token, read.text("accessToken"));
    CO_TRY(const auto expires_text, read.text("expireTime"));
    CO_TRY(const auto expires, parse_rfc3339(expires_text));
    expiring<secret> out{secret(std::move(token)), expires};
    co_return out;
  }

  http::transport& transport_;
  const io::clock& clock_;
  gcp_federation how_;
  token_folders folders_;
};

/// The names in CEL texts come from the operator's configuration; quotes in them must not end the text.
std::string cel_text(std::string_view s) {
  std::string out = "'";
  for (const char c : s) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

class downscoped_token final : public token_source {
 public:
  downscoped_token(http::transport& t, const io::clock& c, std::shared_ptr<credential_cache<secret>> wide,
                   gcp_boundary b)
      : transport_(t), clock_(c), wide_(std::move(wide)), boundary_(std::move(b)) {}

  io::task<result<expiring<secret>>> fetch() override {
    CO_TRY(const auto wide, co_await wide_->get());
    const auto resource = "//storage.googleapis.com/projects/_/buckets/" + boundary_.bucket;
    std::string condition;
    if (!boundary_.prefix.empty()) {
      const auto name = "projects/_/buckets/" + boundary_.bucket + "/objects/" + boundary_.prefix;
      condition = fmt::format(R"(,"availabilityCondition":{{"expression":{}}})",
                              json_text("resource.name.startsWith(" + cel_text(name) + ")"));
    }
    const auto options = fmt::format(
        R"({{"accessBoundary":{{"accessBoundaryRules":[{{"availablePermissions":[{}],"availableResource":{}{}}}]}}}})",
        json_text("inRole:" + boundary_.role), json_text(resource), condition);
    form fields;
    fields.emplace_back("grant_type", exchange_grant);
    fields.emplace_back("subject_token_type", access_token_type);
    fields.emplace_back("requested_token_type", access_token_type);
    fields.emplace_back("subject_token", wide.value.reveal());
    fields.emplace_back("options", options);
    auto r = form_request(boundary_.sts_url, fields, boundary_.ca_pem);
    auto made = co_await fetch_narrow(std::move(r), wide.expires_at);
    if (!made && made.error().code() == errc::unauthenticated) wide_->reject(wide);
    co_return made;
  }

 private:
  /// The answer names no life where it is that of the wider token.
  io::task<result<expiring<secret>>> fetch_narrow(http::request r, timestamp wide_expires_at) {
    const auto asked_at = clock_.now();
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200)
      co_return fail(refusal(answer, issuer, oauth_error_code(answer.body), "check the bucket and its uniform access"));
    CO_TRY(const auto read, issuer_fields::parse(answer.body, issuer));
    CO_TRY(auto token, read.text("access_token"));
    const auto expires = expiry_in_seconds(read, "expires_in", asked_at);
    expiring<secret> out{secret(std::move(token)), wide_expires_at};
    if (expires) out.expires_at = std::min(*expires, wide_expires_at);
    co_return out;
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::shared_ptr<credential_cache<secret>> wide_;
  gcp_boundary boundary_;
};

}  // namespace

result<gcp_service_account> gcp_service_account::parse(const secret& json) {
  const auto bad = [](std::string what) { return fail(errc::invalid_argument, std::move(what)); };
  const auto fields = issuer_fields::parse(json.reveal(), "the key file");
  if (!fields) return bad("must be the JSON text of a service account's key file");
  if (fields->text_or_empty("type") != "service_account")
    return bad("is no key file of a service account: its \"type\" is another");
  const auto email = fields->text_or_empty("client_email");
  if (!is_email(email)) return bad("lacks a usable client_email");
  auto url = fields->text_or_empty("token_uri");
  if (url.empty()) url = "https://oauth2.googleapis.com/token";
  auto key = rsa_private_key::parse(secret(fields->text_or_empty("private_key")));
  if (!key) return bad("its private_key is no RSA key in PEM form");
  return gcp_service_account{email, fields->text_or_empty("private_key_id"), std::move(url), std::move(*key)};
}

std::unique_ptr<token_source> make_gcp_service_account(http::transport& transport, const io::clock& clock,
                                                       gcp_service_account account, std::string scope) {
  return std::make_unique<service_account_token>(transport, clock, std::move(account), std::move(scope));
}

std::unique_ptr<token_source> make_gcp_federation(http::transport& transport, const io::clock& clock,
                                                  gcp_federation how, token_folders folders) {
  return std::make_unique<federated_token>(transport, clock, std::move(how), std::move(folders));
}

std::unique_ptr<token_source> make_gcp_downscoped(http::transport& transport, const io::clock& clock,
                                                  std::shared_ptr<credential_cache<secret>> wide,
                                                  gcp_boundary boundary) {
  return std::make_unique<downscoped_token>(transport, clock, std::move(wide), std::move(boundary));
}

io::task<result<std::string>> gcp_sign_blob(http::transport& transport,
                                            std::shared_ptr<credential_cache<secret>> tokens, std::string email,
                                            std::string bytes, std::string iam_origin) {
  if (!is_email(email)) co_return fail(errc::invalid_argument, "the service account is no e-mail address");
  CO_TRY(const auto token, co_await tokens->get());
  auto r = json_request(iam_origin + "/v1/projects/-/serviceAccounts/" + email + ":signBlob",
                        "{\"payload\":" + json_text(to_base64(bytes)) + "}");
  r.fields.push_back({"Authorization", "Bearer " + token.value.reveal()});
  CO_TRY(const auto answer, co_await transport.send(std::move(r)));
  if (answer.status == 401) tokens->reject(token);
  if (answer.status != 200)
    co_return fail(
        refusal(answer, iam, "", "give the identity the role Service Account Token Creator on this account"));
  CO_TRY(const auto read, issuer_fields::parse(answer.body, iam));
  CO_TRY(const auto signed_text, read.text("signedBlob"));
  auto raw = from_base64(signed_text);
  if (!raw) co_return fail(errc::unavailable, "the answer of Google IAM has no usable \"signedBlob\"");
  co_return std::move(*raw);
}

}  // namespace evp::auth
