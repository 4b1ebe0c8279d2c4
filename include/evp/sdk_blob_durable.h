/*
 * Additions of OpenEVP to the SDK: operations that outlive the process which asked for them. On another runtime they do
 * no harm: ids are 0, and outcomes of earlier lives never come. See sdk.h for the rules of the whole API.
 */
#ifndef EVP_SDK_BLOB_DURABLE_H
#define EVP_SDK_BLOB_DURABLE_H

#include "evp/sdk_blob_result.h"
#include "evp/sdk_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Names one file operation for ever: it is never given to another one of this device. 0: none. */
typedef uint64_t EVP_BLOB_OPERATION_ID;

/* What goes first where not everything can go at once. Waiting makes everything more urgent in time. */
typedef enum {
  EVP_BLOB_PRIORITY_LOW = 0,
  EVP_BLOB_PRIORITY_NORMAL = 1, /* the default */
  EVP_BLOB_PRIORITY_HIGH = 2,
  EVP_BLOB_PRIORITY_DUMMY = 0x3fffffff
} EVP_BLOB_PRIORITY;

/* What became of an operation that an earlier process of this module instance had asked for. */
struct EVP_BlobOutcome {
  EVP_BLOB_OPERATION_ID id;
  int is_upload;           /* 1 for a PUT, 0 for a GET */
  const char *remote_name; /* as it was asked for; "" where the module brought its own URL */
  EVP_BLOB_RESULT result;
  unsigned int http_status; /* as in EVP_BlobResultEvp */
  int error;                /* as in EVP_BlobResultEvp: an errno value */
};

/* `outcome` lives until the callback returns. */
typedef void (*EVP_BLOB_OUTCOME_CALLBACK)(const struct EVP_BlobOutcome *outcome, void *userData);

/*
 * Sets the callback for outcomes of earlier lives, once, before the first EVP_blobOperation(): operations begun later
 * are kept by the runtime until this module has heard of them, in this life by their own callback, or in a later one by
 * this callback. An outcome counts as heard when EVP_processEvent() is called again after its callback. So each is told
 * at least once; a process that dies in between hears it again: `id` tells. EVP_INVAL for a second call or a NULL
 * callback.
 */
EVP_RESULT EVP_setBlobOutcomeCallback(struct EVP_client *h, EVP_BLOB_OUTCOME_CALLBACK cb, void *userData);

/*
 * The id of the operation that the last EVP_blobOperation() with EVP_OK began; 0 if there was none, if its file was
 * refused (the callback says why), or if this runtime gives no ids.
 */
EVP_BLOB_OPERATION_ID EVP_blobOperationId(struct EVP_client *h);

/*
 * How far an operation is: `moved` bytes of the file's `total` (0: unknown, as of a download). It may go back, when a
 * transfer has to begin anew. Never after the operation's own callback.
 */
typedef void (*EVP_BLOB_PROGRESS_CALLBACK)(EVP_BLOB_OPERATION_ID id, uint64_t moved, uint64_t total, void *userData);

/*
 * Sets the callback for the progress of this process' operations, called by EVP_processEvent(), for each at most four
 * times a second; what is done in less is not told at all. A NULL callback ends it.
 */
EVP_RESULT EVP_setBlobProgressCallback(struct EVP_client *h, EVP_BLOB_PROGRESS_CALLBACK cb, void *userData);

/* The priority of the operations that are begun after this call. EVP_INVAL for an unknown value. */
EVP_RESULT EVP_setBlobPriority(struct EVP_client *h, EVP_BLOB_PRIORITY priority);

#ifdef __cplusplus
}
#endif

#endif
