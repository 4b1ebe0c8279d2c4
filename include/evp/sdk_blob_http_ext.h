/* Request and result of EVP_BLOB_TYPE_HTTP_EXT: a URL that the module knows, with headers. */
#ifndef EVP_SDK_BLOB_HTTP_EXT_H
#define EVP_SDK_BLOB_HTTP_EXT_H

#include "evp/sdk_blob_result.h"
#include "evp/sdk_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A request under construction: made by _initialize, ended by _free. EVP_blobOperation() copies it. */
struct EVP_BlobRequestHttpExt;

/* A new, empty request; NULL without memory. */
struct EVP_BlobRequestHttpExt *EVP_BlobRequestHttpExt_initialize(void);

/*
 * Adds a header; name and value are copied. Errors: EVP_INVAL (NULL, an empty name, a character that no header may
 * have: RFC 9110, 5.5), EVP_TOOBIG (more than 100 headers), EVP_NOMEM.
 */
EVP_RESULT EVP_BlobRequestHttpExt_addHeader(struct EVP_BlobRequestHttpExt *request, const char *name,
                                            const char *value);

/* Adds the header that an upload to Azure Blob Storage needs (x-ms-blob-type: BlockBlob). Errors: as _addHeader. */
EVP_RESULT EVP_BlobRequestHttpExt_addAzureHeader(struct EVP_BlobRequestHttpExt *request);

/* Sets the URL; the text is copied and stays the caller's. Errors: EVP_INVAL (NULL), EVP_NOMEM. */
EVP_RESULT EVP_BlobRequestHttpExt_setUrl(struct EVP_BlobRequestHttpExt *request, char *url);

/* Frees the request; NULL is allowed. */
void EVP_BlobRequestHttpExt_free(struct EVP_BlobRequestHttpExt *request);

struct EVP_BlobResultHttpExt {
  EVP_BLOB_RESULT result;
  unsigned int http_status; /* 0: no answer */
  int error;                /* an errno value, 0: none */
};

#ifdef __cplusplus
}
#endif

#endif
