// How the backend makes sure that an upload arrived: a choice of each service, and a fact of each upload.
#pragma once

#include <string_view>

#include "base/error.h"

namespace evp::backend {

enum class verification {
  head,          ///< it asks the storage for the object and compares the size
  put_checksum,  ///< it does not ask: the grant is bound to the file's SHA-256, so the storage takes no other bytes
  none,          ///< it does not: the ledger ends with "uploaded", the device's word
};
/// "head", "put-checksum", "none".
std::string_view to_string(verification v) noexcept;
/// Errors: invalid_argument at "verify".
result<verification> verification_from_string(std::string_view text);

}  // namespace evp::backend
