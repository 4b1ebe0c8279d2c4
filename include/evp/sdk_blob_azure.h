/* Request and result of EVP_BLOB_TYPE_AZURE_BLOB: a URL of Azure Blob Storage with its signature in it. */
#ifndef EVP_SDK_BLOB_AZURE_H
#define EVP_SDK_BLOB_AZURE_H

#include "evp/sdk_blob_result.h"
#include "evp/sdk_types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct EVP_BlobRequestAzureBlob {
  const char *url; /* http or https; used byte for byte */
};

struct EVP_BlobResultAzureBlob {
  EVP_BLOB_RESULT result;
  unsigned int http_status; /* 0: no answer */
  int error;                /* an errno value, 0: none */
};

#ifdef __cplusplus
}
#endif

#endif
