// Who may use the REST API: the holder of the admin token.
#pragma once

#include "base/secret.h"
#include "http/message.h"
#include "io/files.h"

namespace evp::api {

/// Reads the token file, or makes it (mode 0600, 256 random bits) when it is missing. Blocks for the disk. Errors:
/// failed_precondition (others may read the file: says what to do; or it is too short), io::read_file's.
result<secret> open_token_file(const io::fs::path& file);

/// Checks "Authorization: Bearer <token>" by SHA-256 in constant time. Any thread.
class bearer_auth {
 public:
  explicit bearer_auth(const secret& token);
  /// Errors: unauthenticated.
  result<void> check(const http::headers& fields) const;

 private:
  std::string digest_;
};

}  // namespace evp::api
