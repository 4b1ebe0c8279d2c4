// Tables enrolment_tokens and certificates: who may become a device, and what was issued to those who did.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct enrolment_token_row {
  std::string id, tenant;
  std::string device;        ///< scoped; empty: for any device that is not there yet
  std::string token_sha256;  ///< 64 lower-case hexadecimal digits
  std::int64_t uses_left = 1;
  std::int64_t created_at = 0, expires_at = 0;  ///< Unix time, ms
  std::string group;                            ///< in which its devices begin; empty: none
};

struct certificate_row {
  std::string serial, device, token_id, key_sha256;
  std::int64_t created_at = 0, expires_at = 0;  ///< Unix time, ms
  std::int64_t revoked_at = 0;                  ///< likewise; 0: it is not. Only read
};

/// All functions: database thread; errors: the connection's, and what is named.
result<void> insert_enrolment_token(connection& c, const enrolment_token_row& t);
/// Those of the tenant, by id.
result<std::vector<enrolment_token_row>> list_enrolment_tokens(connection& c, const std::string& tenant);
result<std::optional<enrolment_token_row>> find_enrolment_token(connection& c, const std::string& id);
result<std::int64_t> count_enrolment_tokens(connection& c);
/// False: it has none left, or is there no more.
result<bool> use_enrolment_token(connection& c, const std::string& id);
/// True when there was one of that tenant.
result<bool> remove_enrolment_token(connection& c, const std::string& tenant, const std::string& id);
/// Those that have expired before that time.
result<void> forget_enrolment_tokens(connection& c, std::int64_t before_ms);

/// Forgets those of the device that have expired by then.
result<void> insert_certificate(connection& c, const certificate_row& r);
/// The device that got a certificate for that key by that token; nothing: none.
result<std::optional<std::string>> find_enrolled(connection& c, const std::string& token_id,
                                                 const std::string& key_sha256);
/// Of the device, newest first.
result<std::vector<certificate_row>> list_certificates(connection& c, const std::string& device);

}  // namespace evp::sql
