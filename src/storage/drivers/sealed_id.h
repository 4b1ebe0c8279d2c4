// Ids of uploads in parts that are worth a grant by themselves (a session's URL, a token): the ledger keeps them
// sealed.
#pragma once

#include <string>
#include <string_view>

#include "storage/driver.h"

namespace evp::storage {

/// Seals for one backend: its replicas and later runs open what it sealed. Any thread.
class sealed_ids {
 public:
  explicit sealed_ids(const driver_context& context);
  /// Hexadecimal text, good for this object only; about twice as long as the id.
  std::string seal(std::string_view id, std::string_view object) const;
  /// Errors: not_found (sealed by nobody, or for another object).
  result<std::string> open(std::string_view sealed, std::string_view object) const;

 private:
  secret key_;
};

}  // namespace evp::storage
