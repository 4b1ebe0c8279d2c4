// Callers who show a token of an OpenID Connect issuer: its keys, kept current, and what a token says of its bearer.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/access.h"
#include "http/client.h"
#include "io/clock.h"

namespace evp::api {

struct oidc_options {
  std::string issuer;                 ///< "https://host[/path]", byte for byte what tokens say in `iss`
  std::string audience;               ///< what `aud` must hold
  std::string roles_claim = "roles";  ///< the claim that names roles here, a text or an array of texts
  std::string ca_pem;                 ///< trust only these for the issuer; empty: the system's
};

/// One role that a token gives.
struct oidc_role {
  std::optional<std::string> tenant;  ///< empty: the installation's own; nothing: all of them
  backend::role what = backend::role::viewer;
};

struct oidc_bearer {
  std::string subject;  ///< `sub`
  std::vector<oidc_role> roles;
};

/// A role as the claim spells it: "evp:<tenant>:<role>", where "default" is the installation's own tenant and "*" all
/// of them. Nothing for other texts: the claim has roles of other programs too.
std::optional<oidc_role> oidc_role_from(std::string_view text);

/// Errors: invalid_argument: no https URL (http is for loopback only), or one with a query or a fragment.
result<void> check_oidc_issuer(std::string_view url);

/// Verifies signed tokens (RFC 7519) by the keys that the issuer publishes (OpenID Connect Discovery 1.0, RFC 7517).
/// Signatures are RS, PS and ES with SHA-2, and EdDSA: what only the issuer can make. The keys are fetched at the
/// start, every hour, and when a token names one that is not known, at most every 10 s. While the issuer is out of
/// reach the keys that are known stay good. Confined to its executor.
class oidc_issuer {
 public:
  static constexpr milliseconds refresh_every{3'600'000}, retry_every{10'000};
  static constexpr milliseconds leeway{60'000};  ///< of the issuer's clock against ours
  static constexpr std::size_t max_answer_bytes = 256 * 1024, max_token_bytes = 16 * 1024, max_subject_bytes = 200;

  /// `t` and `c` outlive this.
  oidc_issuer(io::executor ex, http::transport& t, const io::clock& c, oidc_options o);
  ~oidc_issuer();
  void start();
  io::task<void> stop();

  /// Whether it has the form of such a token: three parts with dots between them. Our own keys have none.
  static bool is_token(std::string_view text);
  /// Errors: unauthenticated (says what is wrong with the token), unavailable (its key is being asked for).
  result<oidc_bearer> authenticate(std::string_view token);

 private:
  struct keys;
  io::task<void> keep_current();
  io::task<result<void>> fetch();
  io::task<result<std::string>> get(std::string url, std::string what);
  /// The claims, as JSON. Errors: as authenticate.
  result<std::string> verified_claims(std::string_view token);

  http::transport& transport_;
  const io::clock& clock_;
  const oidc_options options_;
  std::unique_ptr<keys> keys_;  ///< null: none have been fetched yet
  std::optional<steady_time> asked_;
  io::asio::steady_timer wake_;
  io::group tasks_;
};

}  // namespace evp::api
