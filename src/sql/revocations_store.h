// Table revoked_certificates: certificates of our own authority that admit nobody any more, until they expire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct revoked_certificate_row {
  std::string id;                               ///< base/certificate_id.h, 64 lower-case hexadecimal digits
  std::string serial;                           ///< lower-case hexadecimal digits
  std::string device;                           ///< scoped; it may exist no more
  std::string key_sha256;                       ///< of a key that gets no other certificate; empty: it may
  std::int64_t revoked_at = 0, expires_at = 0;  ///< Unix time, ms
};

/// All functions: database thread; errors: the connection's, and what is named.
/// False: it was revoked already. Errors: too_large (`most` of them).
result<bool> insert_revoked_certificate(connection& c, const revoked_certificate_row& r, std::int64_t most);
/// Those that have expired before that time.
result<void> forget_revoked_certificates(connection& c, std::int64_t before_ms);
/// The next of those that expire after that time, by id.
result<std::vector<revoked_certificate_row>> list_revoked_certificates(connection& c, const std::string& after_id,
                                                                       std::int64_t alive_at_ms, std::int64_t limit);
result<std::optional<revoked_certificate_row>> find_revoked_certificate(connection& c, const std::string& id);

/// Whether the device has that certificate; if so, nobody revokes or removes it before this transaction ends.
result<bool> hold_certificate(connection& c, const std::string& device, const std::string& serial);
/// The same for who will revoke it.
result<bool> hold_certificate_alone(connection& c, const std::string& device, const std::string& serial);
/// Whether a certificate of that serial number of ours is revoked. After hold_certificate().
result<bool> is_revoked(connection& c, const std::string& serial);
/// Whether a certificate for that key was revoked; if not, none is before this transaction ends.
result<bool> is_key_revoked(connection& c, const std::string& key_sha256);

}  // namespace evp::sql
