// The one signature of calls that the backend makes to services of an operator's own: WEBHOOK storages and hooks.
#pragma once

#include "base/secret.h"
#include "base/time.h"
#include "http/message.h"

namespace evp::storage {

/// X-OpenEVP-Timestamp: Unix seconds. X-OpenEVP-Signature: "v1=" and the hexadecimal HMAC-SHA-256, under the shared
/// secret, of "<timestamp>.<body>". Any thread.
http::headers webhook_signature(const secret& key, std::string_view body, timestamp now);

}  // namespace evp::storage
