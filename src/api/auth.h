// Who may use the REST API, and for which tenant: the holder of the admin token, or of an API key.
#pragma once

#include <string>

#include "api/oidc.h"
#include "backend/access.h"
#include "base/secret.h"
#include "http/message.h"
#include "io/files.h"

namespace evp::api {

/// Reads the token file, or makes it (mode 0600, 256 random bits) when it is missing. Blocks for the disk. Errors:
/// failed_precondition (others may read the file: says what to do; or it is too short), io::read_file's.
result<secret> open_token_file(const io::fs::path& file);
/// The same without making it: an error by errno where it is missing.
result<secret> read_token_file(const io::fs::path& file);

/// Knows the admin token by its SHA-256; compares in constant time. Any thread.
class bearer_auth {
 public:
  explicit bearer_auth(const secret& token);
  bool matches(std::string_view token) const;

 private:
  std::string digest_;
};

/// What a route asks of its caller.
enum class level {
  open,            ///< nothing: a signed URL carries its permission itself, a health check must not need a secret
  view,            ///< role viewer
  operate,         ///< role operator
  administer,      ///< role admin
  view_all,        ///< role viewer in all tenants
  administer_all,  ///< role admin in all tenants
};

/// Who asks. Names that such a caller gives are its tenant's.
struct caller {
  std::string actor;   ///< the API key's id, or audit_actor::admin, or audit_actor::oidc and the subject of a token
  std::string tenant;  ///< the one that the request is for; empty: the installation's own
  bool everywhere = false;
  backend::role what = backend::role::viewer;
};

/// The header with which callers that may act in all tenants choose one; without it they act in the installation's own.
inline constexpr std::string_view tenant_header = "X-EVP-Tenant";

/// Any request with a token: by "Authorization: Bearer". `issuer` may be null. Errors: unauthenticated, unavailable
/// (the issuer's keys are not there yet), permission_denied at X-EVP-Tenant (another tenant than the key's or the
/// token's, or which of several), not_found at X-EVP-Tenant.
result<caller> identify(const bearer_auth& admin, const backend::access& keys, oidc_issuer* issuer,
                        const http::headers& fields);
/// Errors: permission_denied, telling what it takes.
result<void> check_level(const caller& who, level wanted);

}  // namespace evp::api
