// The SDK's fixed numbers of blob types; with legacy_blob_types.cc the only place where the runtime names a vendor.
#pragma once

#include "http/message.h"
#include "runtime/sdk_server/messages.h"

namespace evp::runtime::socket {

/// Whether the type (EVP_BLOB_TYPE) goes with the shape of the request.
bool fits(std::uint32_t type, blob_form form) noexcept;
/// The headers that the type itself implies for an upload.
http::headers implied_headers(std::uint32_t type);

}  // namespace evp::runtime::socket
