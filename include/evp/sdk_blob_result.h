/* How a transfer ended: the values and members that all results have. Included by the sdk_blob_*.h headers. */
#ifndef EVP_SDK_BLOB_RESULT_H
#define EVP_SDK_BLOB_RESULT_H

typedef enum {
  EVP_BLOB_RESULT_SUCCESS = 0,    /* the storage has the blob (PUT), or the local store has it (GET) */
  EVP_BLOB_RESULT_ERROR = 1,      /* failed on the way; `error` is an errno value */
  EVP_BLOB_RESULT_ERROR_HTTP = 2, /* the storage refused; `http_status` says how */
  EVP_BLOB_RESULT_DUMMY = 0x3fffffff
} EVP_BLOB_RESULT;

#endif
