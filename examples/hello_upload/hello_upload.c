/* The smallest module that uploads: each configuration of the topic "upload" is a name; a greeting goes there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evp/sdk.h"

static const char greeting[] = "Hello from a device that knows no storage.\n";

/* One upload: the name that is wanted, and how much of the greeting has been taken. */
struct upload {
  char name[256];
  size_t taken;
  int wanted;
};

static EVP_BLOB_IO_RESULT give_chunk(void *buffer, size_t size, void *user) {
  struct upload *u = user;
  memcpy(buffer, greeting + u->taken, size);
  u->taken += size;
  return EVP_BLOB_IO_RESULT_SUCCESS;
}

static void on_uploaded(EVP_BLOB_CALLBACK_REASON reason, const void *result, void *user) {
  const struct EVP_BlobResultEvp *r = result;
  if (reason == EVP_BLOB_CALLBACK_REASON_DONE)
    printf("upload ended: result %d, HTTP status %u, error %d\n", (int)r->result, r->http_status, r->error);
  fflush(stdout);
  free(user);
}

/* Callbacks only note; the loop in main() acts. */
static void on_configuration(const char *topic, const void *config, size_t size, void *user) {
  struct upload *next = user;
  if (strcmp(topic, "upload") != 0 || size == 0 || size >= sizeof next->name) return;
  memcpy(next->name, config, size);
  next->name[size] = '\0';
  next->wanted = 1;
}

int main(void) {
  static struct upload next;
  struct EVP_client *h = EVP_initialize();
  EVP_setConfigurationCallback(h, on_configuration, &next);
  while (EVP_processEvent(h, -1) != EVP_SHOULDEXIT) {
    struct upload *u;
    if (!next.wanted || !(u = malloc(sizeof *u))) continue;
    *u = next;
    next.wanted = 0;
    struct EVP_BlobRequestEvpExt request = {u->name, NULL};
    struct EVP_BlobLocalStore store = {NULL, give_chunk, sizeof greeting - 1};
    if (EVP_blobOperation(h, EVP_BLOB_TYPE_EVP_EXT, EVP_BLOB_OP_PUT, &request, &store, on_uploaded, u) != EVP_OK)
      free(u);
  }
  return 0;
}
