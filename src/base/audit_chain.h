// The form of the audit: one record, and the chain of SHA-256 that binds each to all before it (docs/audit.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evp {

/// Who acts, where it is no API key of that name.
namespace audit_actor {
inline constexpr std::string_view device = "device ";  ///< and its id behind it
inline constexpr std::string_view oidc = "oidc:";      ///< and a subject of the OpenID Connect issuer's behind it
inline constexpr std::string_view admin = "admin-token", nobody = "nobody", enrolment = "enrolment", system = "system";
inline constexpr std::string_view others = "(others)";  ///< of gathered refusals: too many to tell apart
}  // namespace audit_actor

/// Who did what to which thing, from where, and how it ended. No field ever holds a secret or a signed URL.
struct audit_record {
  std::int64_t number = 0;  ///< 1, 2, 3, ... without gaps
  std::int64_t at = 0;      ///< Unix time, ms, of the backend's clock
  std::string actor;        ///< an API key's name, or of audit_actor
  std::string action;       ///< "device.create", "grant.put", ...
  std::string object_kind, object_name;
  std::string peer;     ///< address of the REST connection's other end; empty where the backend knows none
  std::string outcome;  ///< "ok" or an error code
  std::string detail;
};

inline constexpr std::size_t audit_hash_bytes = 32;

/// What the first record of all is chained to: 32 zero bytes.
std::string audit_chain_start();

/// The record's hash, 32 raw bytes: SHA-256 over the previous record's hash and the record's fields, each behind its
/// length, so that no two records have the same encoding.
std::string audit_hash(std::string_view previous, const audit_record& r);

}  // namespace evp
