/* Request and result of EVP_BLOB_TYPE_HTTP: a URL that the module knows, for GET and PUT. */
#ifndef EVP_SDK_BLOB_HTTP_H
#define EVP_SDK_BLOB_HTTP_H

#include "evp/sdk_blob_result.h"
#include "evp/sdk_types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct EVP_BlobRequestHttp {
  const char *url; /* http or https; used byte for byte */
};

struct EVP_BlobResultHttp {
  EVP_BLOB_RESULT result;
  unsigned int http_status; /* 0: no answer */
  int error;                /* an errno value, 0: none */
};

#ifdef __cplusplus
}
#endif

#endif
