// How sources talk to issuers of credentials: forms out, JSON in, and one place where a refusal becomes an error.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/credentials/credential_cache.h"
#include "base/secret.h"
#include "http/client.h"

namespace evp::auth {

using form = std::vector<std::pair<std::string, std::string>>;

/// A token that is sent as it stands: OAuth access tokens, Keystone tokens.
using token_source = credential_source<secret>;

inline constexpr std::size_t answer_max_bytes = 256 * 1024;  ///< Keystone lists every service of its cloud
inline constexpr milliseconds exchange_limit{10'000};        ///< of one exchange, from the first byte to the last

/// A request with the bounds that every exchange with an issuer has.
http::request issuer_request(std::string method, std::string url, std::string ca_pem = {});
/// POST of application/x-www-form-urlencoded. Spaces travel as %20: Ceph RGW does not read '+'.
http::request form_request(std::string url, const form& fields, std::string ca_pem = {});
/// POST of a JSON text.
http::request json_request(std::string url, std::string body, std::string ca_pem = {});
/// A JSON string with its quotes.
std::string json_text(std::string_view text);

/// Reads the fields of an issuer's JSON answer. A path names members with '/' between them ("token/expires_at").
class issuer_fields {
 public:
  /// `issuer` names it in errors ("the token endpoint of Entra ID"). Errors: unavailable (no JSON object: something
  /// else than the issuer answers there).
  static result<issuer_fields> parse(std::string_view body, std::string_view issuer);

  /// Errors: unavailable (absent, of another type, empty or longer than 64 KiB).
  result<std::string> text(std::string_view path) const;
  /// Empty where it is absent or no text.
  std::string text_or_empty(std::string_view path) const;
  /// A whole number, also one that travels as a text. Errors: unavailable.
  result<std::int64_t> integer(std::string_view path) const;
  /// The members of an array of objects; none where there is no such array.
  std::vector<issuer_fields> objects(std::string_view path) const;

 private:
  struct node;
  std::shared_ptr<const node> node_;
};

/// Now plus the seconds of `path`. Errors: unavailable (absent, not 1 s to 366 days).
result<timestamp> expiry_in_seconds(const issuer_fields& answer, std::string_view path, timestamp now);

/// The error of an answer that is no success. `code` is the issuer's own name for it, or empty; `advice` says what a
/// person should check when it is a refusal. Never holds a body.
error refusal(const http::response& answer, std::string_view issuer, std::string_view code, std::string_view advice);
/// The code of an OAuth 2.0 error answer (RFC 6749, 5.2), with Entra ID's number where it gives one:
/// "invalid_client AADSTS7000215". Empty where there is none.
std::string oauth_error_code(std::string_view body);

/// Sends a request that an OAuth 2.0 token endpoint answers (RFC 6749, 5.1) and reads access_token and expires_in.
/// Errors: the transport's, those of refusal().
io::task<result<expiring<secret>>> fetch_access_token(http::transport& transport, const io::clock& clock,
                                                      http::request request, std::string issuer, std::string advice);

}  // namespace evp::auth
