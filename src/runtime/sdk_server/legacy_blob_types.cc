// EVP_BLOB_TYPE as modules send it.
#include "runtime/sdk_server/legacy_blob_types.h"

namespace evp::runtime::socket {
namespace {

enum blob_type : std::uint32_t { AZURE_BLOB = 0, EVP = 1, HTTP = 2, EVP_EXT = 3, HTTP_EXT = 4 };

}  // namespace

bool fits(std::uint32_t type, blob_form form) noexcept {
  switch (type) {
    case AZURE_BLOB: return form == blob_form::signed_url;
    case EVP:
    case EVP_EXT: return form == blob_form::named;
    case HTTP: return form == blob_form::http;
    case HTTP_EXT: return form == blob_form::http_ext;
    default: return false;
  }
}

http::headers implied_headers(std::uint32_t type) {
  // https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob: mandatory, and the type has no place for it.
  if (type == AZURE_BLOB) return {{"x-ms-blob-type", "BlockBlob"}};
  return {};
}

}  // namespace evp::runtime::socket
