/* Uploading and downloading files: EVP_blobOperation(). See sdk.h for the rules of the whole API. */
#ifndef EVP_SDK_BLOB_H
#define EVP_SDK_BLOB_H

#include "evp/sdk_blob_azure.h"
#include "evp/sdk_blob_durable.h"
#include "evp/sdk_blob_evp.h"
#include "evp/sdk_blob_http.h"
#include "evp/sdk_blob_http_ext.h"
#include "evp/sdk_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the other end of a transfer is, and with it the type of `request` and of the callback's `result`. */
typedef enum {
  EVP_BLOB_TYPE_AZURE_BLOB = 0, /* struct EVP_BlobRequestAzureBlob, struct EVP_BlobResultAzureBlob */
  EVP_BLOB_TYPE_EVP = 1,        /* struct EVP_BlobRequestEvp: the default storage. Deprecated: use EVP_EXT */
  EVP_BLOB_TYPE_HTTP = 2,       /* struct EVP_BlobRequestHttp, struct EVP_BlobResultHttp */
  EVP_BLOB_TYPE_EVP_EXT = 3,    /* struct EVP_BlobRequestEvpExt, struct EVP_BlobResultEvp: a storage by name */
  EVP_BLOB_TYPE_HTTP_EXT = 4,   /* struct EVP_BlobRequestHttpExt, struct EVP_BlobResultHttpExt */
  EVP_BLOB_TYPE_DUMMY = 0x3fffffff
} EVP_BLOB_TYPE;

typedef enum {
  EVP_BLOB_OP_GET = 0, /* download into the local store */
  EVP_BLOB_OP_PUT = 1, /* upload from the local store */
  EVP_BLOB_OP_DUMMY = 0x3fffffff
} EVP_BLOB_OPERATION;

typedef enum {
  EVP_BLOB_CALLBACK_REASON_DONE = 0,   /* ended; the result says how */
  EVP_BLOB_CALLBACK_REASON_EXIT = 1,   /* the module is being stopped; an accepted upload goes on without it */
  EVP_BLOB_CALLBACK_REASON_DENIED = 2, /* refused; nothing was transferred */
  EVP_BLOB_CALLBACK_REASON_DUMMY = 0x3fffffff
} EVP_BLOB_CALLBACK_REASON;

typedef enum {
  EVP_BLOB_IO_RESULT_SUCCESS = 0,
  EVP_BLOB_IO_RESULT_ERROR = 1, /* gives the transfer up */
  EVP_BLOB_IO_RESULT_DUMMY = 0x3fffffff
} EVP_BLOB_IO_RESULT;

/*
 * Moves the next chunk between the module's memory and `buf`: fills all of it for a PUT, takes all of it for a GET.
 * Chunks come in order from the start of the blob. For a PUT it is called within EVP_blobOperation(); for a GET within
 * EVP_processEvent(), before the operation's callback.
 */
typedef EVP_BLOB_IO_RESULT (*EVP_BLOB_IO_CALLBACK)(void *buf, size_t buflen, void *userData);

/*
 * `result` is not NULL for DONE only; its type goes with the EVP_BLOB_TYPE (all have the same members).
 */
typedef void (*EVP_BLOB_CALLBACK)(EVP_BLOB_CALLBACK_REASON reason, const void *result, void *userData);

/* The end of a transfer that lies on the device. */
struct EVP_BlobLocalStore {
  /* Absolute path of a regular file in the workspace, without "..", "//", a '/' at its end or a symbolic link on the
   * way. NULL: the blob is in memory, and io_cb moves it. */
  const char *filename;
  /* Used when filename is NULL. It gets the userData of EVP_blobOperation(). */
  EVP_BLOB_IO_CALLBACK io_cb;
  /* For a PUT from memory: the size of the blob in bytes, at most 1 GiB. Otherwise not looked at. */
  size_t blob_len;
};

/*
 * Starts a transfer. With EVP_OK it is accepted: the runtime has written it to its disk, and it will be carried out even
 * if the network is down now, this process ends or the device loses power; `cb` is called once, while this process lives
 * (later lives: sdk_blob_durable.h). The function waits for the disk. A file that is uploaded must stay unchanged until
 * then, or the transfer fails with ESTALE; the SDK never deletes it. A blob in memory is read completely (through io_cb)
 * before this function returns, and kept by the runtime. A download to memory needs room for the blob in the workspace. A
 * failed download leaves an old file as it was.
 *
 * A bad file (missing, outside the workspace, ...) is told by the callback: result EVP_BLOB_RESULT_ERROR and an errno
 * value in `error` (ENOENT, EPERM, ELOOP ...), before anything is asked of the network.
 *
 * Errors: EVP_INVAL (unknown type or operation, NULL where a value is needed), EVP_DENIED (too many transfers are
 * under way: wait for a callback), EVP_TOOBIG, EVP_NOMEM (no room on the disk), EVP_FAULT (io_cb
 * failed), EVP_NOTSUP, EVP_TIMEDOUT, EVP_SHOULDEXIT. The callback is not called then.
 */
EVP_RESULT EVP_blobOperation(struct EVP_client *h, EVP_BLOB_TYPE type, EVP_BLOB_OPERATION op, const void *request,
                             struct EVP_BlobLocalStore *localStore, EVP_BLOB_CALLBACK cb, void *userData);

/* Not offered over this transport: EVP_NOTSUP. Use EVP_blobOperation(). */
EVP_RESULT EVP_blobGetUploadURL(struct EVP_client *h, const char *storageName, const char *remoteName,
                                EVP_BLOB_CALLBACK cb, void *userData);

#ifdef __cplusplus
}
#endif

#endif
