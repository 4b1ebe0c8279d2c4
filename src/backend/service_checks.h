// The rules for the parts of a storage access service that no driver looks at: headers, certificate, duration. Private.
#pragma once

#include <string>

#include "backend/services.h"

namespace evp::backend {

/// RFC 9110, 5.6.2 (names) and 5.5 (values), none twice, none that the HTTP client or the driver sets by itself.
/// Errors: invalid_argument at "headers".
result<void> check_headers(const http::headers& fields);

/// Errors: invalid_argument or too_large at "certificate". An empty one is fine.
result<void> check_certificate(const std::string& pem);
/// "sha256:<64 hex>" of the text; empty for none.
std::string certificate_id_of(const std::string& pem);

/// Empty: the default. Errors: invalid_argument at "expirationDuration".
result<milliseconds> read_expiration(const std::string& text, milliseconds max);

/// How long offline grants live; empty: nothing, there are none. `expiration` is that of other grants. Errors:
/// invalid_argument at "offlineGrantDuration" (also where the storage cannot bind a grant to one object and a time).
result<std::optional<milliseconds>> read_offline_duration(const std::string& text, milliseconds expiration,
                                                          std::string_view type, const storage::capabilities& caps);

/// A size from 1 on, an address or CIDR network. Errors: invalid_argument at "bounds.maxSize", "bounds.sourceAddress".
result<void> check_bounds(const service_bounds& b);

/// Whether uploads to a storage of that type can be checked this way. Errors: invalid_argument at "verify", with what
/// to use instead.
result<void> check_verification(verification v, std::string_view type, const storage::capabilities& caps);

/// The bounds that a grant of this service can be given: some of a storage's exclude each other.
storage::bounds enforceable(const storage::capabilities& caps, const service_bounds& asked);

/// Says which of the bounds that were asked for the storage does not enforce, and what that means.
void add_bound_warnings(const service_bounds& asked, verification verify, const storage::capabilities& caps,
                        std::vector<std::string>& warnings);

}  // namespace evp::backend
