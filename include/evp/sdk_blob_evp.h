/* Requests and result of EVP_BLOB_TYPE_EVP and EVP_BLOB_TYPE_EVP_EXT: a name in a storage that the hub knows. */
#ifndef EVP_SDK_BLOB_EVP_H
#define EVP_SDK_BLOB_EVP_H

#include "evp/sdk_blob_result.h"
#include "evp/sdk_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* EVP_BLOB_TYPE_EVP (deprecated): the default storage. */
struct EVP_BlobRequestEvp {
  const char *remote_name; /* UTF-8; may have '/' in it */
};

/* EVP_BLOB_TYPE_EVP_EXT. */
struct EVP_BlobRequestEvpExt {
  const char *remote_name;  /* UTF-8; may have '/' in it */
  const char *storage_name; /* NULL: the default storage */
};

struct EVP_BlobResultEvp {
  EVP_BLOB_RESULT result;
  unsigned int http_status; /* 0: no answer */
  int error;                /* an errno value, 0: none */
};

#ifdef __cplusplus
}
#endif

#endif
