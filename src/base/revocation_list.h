// Certificate revocation lists (RFC 5280, section 5): which certificates an issuer has taken back.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"

namespace evp {

/// One list whose signature was found good.
struct revocation_list {
  static constexpr std::size_t max_bytes = 64 << 20;  ///< of a file: about a million entries

  std::string issuer;                    ///< RFC 2253, for messages
  std::set<std::string> ids;             ///< base/certificate_id.h, 32 raw bytes each
  timestamp this_update;                 ///< when it was made
  std::optional<timestamp> next_update;  ///< when the issuer makes the next at the latest

  /// PEM or DER, one list. `issuers` is PEM: one of them has signed it, and may. A list that says in a critical
  /// extension what is not understood here is refused, as RFC 5280, 5.2 wants it: it may mean something else; so are
  /// lists of changes only (delta CRLs) and those for other issuers' certificates (indirect CRLs). Any thread.
  /// Errors: invalid_argument (no list, or several, or of none of the issuers, or not understood), too_large
  /// (max_bytes, max_revoked_certificates).
  static result<revocation_list> parse(std::string_view bytes, std::string_view issuers);
};

}  // namespace evp
