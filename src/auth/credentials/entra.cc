#include "auth/credentials/entra.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "auth/jwt.h"
#include "base/crypto.h"

namespace evp::auth {
namespace {

constexpr std::string_view issuer = "Entra ID";
constexpr std::string_view jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
constexpr seconds assertion_life{300};  // Entra ID takes at most 10 minutes for granted
constexpr std::size_t id_max = 253;

std::string token_url(const entra_application& app) {
  return app.authority + "/" + app.tenant_id + "/oauth2/v2.0/token";
}

/// One of the ways in which the application proves itself: the fields beside those that all have.
using proof = std::function<result<form>()>;

class application_token final : public token_source {
 public:
  application_token(http::transport& t, const io::clock& c, entra_application app, proof p, std::string advice)
      : transport_(t), clock_(c), app_(std::move(app)), proof_(std::move(p)), advice_(std::move(advice)) {}

  io::task<result<expiring<secret>>> fetch() override {
    CO_TRY(auto fields, proof_());
    fields.emplace_back("grant_type", "client_credentials");
    fields.emplace_back("client_id", app_.client_id);
    fields.emplace_back("scope", app_.resource + ".default");
    auto r = form_request(token_url(app_), fields, app_.ca_pem);
    auto outcome = co_await fetch_access_token(transport_, clock_, std::move(r), std::string(issuer), advice_);
    co_return outcome;
  }

 private:
  http::transport& transport_;
  const io::clock& clock_;
  entra_application app_;
  proof proof_;
  std::string advice_;
};

}  // namespace

result<void> check_application(const entra_application& app) {
  const auto is_id = [](std::string_view s) {
    return !s.empty() && s.size() <= id_max && s.front() != '.' && std::all_of(s.begin(), s.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    });
  };
  if (!is_id(app.tenant_id)) return fail(errc::invalid_argument, "tenantId", "must be the tenant's GUID or domain");
  if (!is_id(app.client_id)) return fail(errc::invalid_argument, "clientId", "must be the application's GUID");
  return {};
}

result<entra_certificate> entra_certificate::parse(const secret& pem) {
  TRY(auto thumbprint, certificate_thumbprint(pem.reveal()));
  TRY(auto key, rsa_private_key::parse(pem));
  return entra_certificate{std::move(key), std::move(thumbprint)};
}

std::unique_ptr<token_source> make_entra_secret(http::transport& transport, const io::clock& clock,
                                                entra_application app, secret client_secret) {
  proof p = [s = std::move(client_secret)]() -> result<form> { return form{{"client_secret", s.reveal()}}; };
  return std::make_unique<application_token>(transport, clock, std::move(app), std::move(p),
                                             "check tenantId, clientId and clientSecret");
}

std::unique_ptr<token_source> make_entra_certificate(http::transport& transport, const io::clock& clock,
                                                     entra_application app, entra_certificate certificate) {
  proof p = [&clock, app, c = std::move(certificate)]() -> result<form> {
    const auto now = std::chrono::floor<seconds>(clock.now()).time_since_epoch().count();
    const auto header = fmt::format(R"({{"alg":"RS256","typ":"JWT","x5t":{}}})", json_text(c.thumbprint));
    const auto claims =
        fmt::format(R"({{"aud":{},"iss":{},"sub":{},"jti":"{}","nbf":{},"exp":{}}})", json_text(token_url(app)),
                    json_text(app.client_id), json_text(app.client_id), random_id(), now, now + assertion_life.count());
    return form{{"client_assertion_type", std::string(jwt_bearer)},
                {"client_assertion", sign_jwt(c.key, header, claims).reveal()}};
  };
  return std::make_unique<application_token>(transport, clock, std::move(app), std::move(p),
                                             "check tenantId, clientId and that the application has this certificate");
}

std::unique_ptr<token_source> make_entra_workload(http::transport& transport, const io::clock& clock,
                                                  entra_application app, token_folders folders,
                                                  io::fs::path token_file) {
  proof p = [folders = std::move(folders), file = std::move(token_file)]() -> result<form> {
    TRY(const auto token, folders.read(file));
    return form{{"client_assertion_type", std::string(jwt_bearer)}, {"client_assertion", token.reveal()}};
  };
  return std::make_unique<application_token>(transport, clock, std::move(app), std::move(p),
                                             "check tenantId, clientId and the application's federated credential");
}

}  // namespace evp::auth
