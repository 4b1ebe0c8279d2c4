// Tables services, service_options and service_headers: the storage access services. Secret options arrive sealed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sql/database.h"

namespace evp::sql {

struct service_option_row {
  std::string name;
  std::string text;  ///< sealed when is_secret
  bool is_secret = false;
};
struct service_header_row {
  std::string name, text;
};
struct service_row {
  std::string id;
  std::int64_t revision = 1;
  std::string name;
  std::string type;
  std::string certificate;  ///< PEM or empty
  std::int64_t expiration_ms = 0;
  std::int64_t offline_ms = 0;  ///< 0: no offline grants
  std::string object_name_template;
  std::string verify;  ///< "head", "put-checksum" or "none"
  bool create_only = false;
  std::int64_t max_size = 0;                    ///< bytes; 0: none
  std::string source_address;                   ///< or empty
  std::int64_t created_at = 0, updated_at = 0;  ///< Unix time, ms
  std::vector<service_option_row> options;
  std::vector<service_header_row> headers;
};

/// All functions: database thread; errors: the connection's, and what is named.
result<std::vector<service_row>> list_services(connection& c);
/// Errors: already_exists (a service of that name).
result<void> insert_service(connection& c, const service_row& s);
/// Replaces everything but id, name and created_at where id and the revision before (s.revision - 1) match.
/// Errors: not_found, failed_precondition (changed by somebody else meanwhile).
result<void> update_service(connection& c, const service_row& s);
/// Whether the service exists and is at that revision; nobody can change that before this transaction has ended.
result<bool> is_current_service(connection& c, const std::string& id, std::int64_t revision);
/// True when there was one.
result<bool> remove_service(connection& c, const std::string& id);

}  // namespace evp::sql
