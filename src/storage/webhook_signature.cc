#include "storage/webhook_signature.h"

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::storage {

http::headers webhook_signature(const secret& key, std::string_view body, timestamp now) {
  const auto at = format_unix_seconds(now);
  auto signature = to_hex(hmac_sha256(key.reveal(), (at + ".").append(body)));
  return {{"X-OpenEVP-Timestamp", at}, {"X-OpenEVP-Signature", "v1=" + std::move(signature)}};
}

}  // namespace evp::storage
