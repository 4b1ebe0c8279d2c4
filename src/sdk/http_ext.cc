// The builder for requests with headers.
#include "sdk/http_ext.h"

#include <new>
#include <string_view>

#include "evp/sdk_blob_http_ext.h"

namespace {

constexpr std::size_t max_headers = 100;

// RFC 9110, 5.1 and 5.6.2.
bool is_token(std::string_view name) {
  for (const char c : name) {
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!alnum && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) return false;
  }
  return !name.empty();
}

// RFC 9110, 5.5: no control characters, so no header can smuggle in another one.
bool is_field_value(std::string_view value) {
  for (const char c : value)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
  return true;
}

}  // namespace

extern "C" {

EVP_BlobRequestHttpExt* EVP_BlobRequestHttpExt_initialize(void) { return new (std::nothrow) EVP_BlobRequestHttpExt; }

EVP_RESULT EVP_BlobRequestHttpExt_addHeader(EVP_BlobRequestHttpExt* request, const char* name, const char* value) {
  if (!request || !name || !value || !is_token(name) || !is_field_value(value)) return EVP_INVAL;
  if (request->headers.size() >= max_headers) return EVP_TOOBIG;
  try {
    request->headers.push_back(std::string(name) + ": " + value);
  } catch (const std::bad_alloc&) { return EVP_NOMEM; }
  return EVP_OK;
}

EVP_RESULT EVP_BlobRequestHttpExt_addAzureHeader(EVP_BlobRequestHttpExt* request) {
  return EVP_BlobRequestHttpExt_addHeader(request, "x-ms-blob-type", "BlockBlob");
}

EVP_RESULT EVP_BlobRequestHttpExt_setUrl(EVP_BlobRequestHttpExt* request, char* url) {
  if (!request || !url) return EVP_INVAL;
  try {
    request->url = url;
  } catch (const std::bad_alloc&) { return EVP_NOMEM; }
  return EVP_OK;
}

void EVP_BlobRequestHttpExt_free(EVP_BlobRequestHttpExt* request) { delete request; }
}
