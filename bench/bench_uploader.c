/* The module that evp-bench-upload drives: on the direct command "run" it uploads many files and says how long it took. */
#define _FILE_OFFSET_BITS 64
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "evp/sdk.h"

enum { max_path = 512 };

struct order {
  EVP_RPC_ID id;
  int wanted;
  int count, outstanding;
  long long bytes;
  char storage[64];
};

struct run {
  int under_way, failed;
  double *begun, *ended; /* of each file, in ms of the monotonic clock */
};

/* One file operation; lives until its callback. */
struct upload {
  struct run *of;
  int number;
  char path[max_path], name[64];
  struct EVP_BlobRequestEvpExt request;
  struct EVP_BlobLocalStore store;
};

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void on_command(EVP_RPC_ID id, const char *method, const char *params, void *user) {
  struct order *o = user;
  (void)method;
  o->id = id;
  o->wanted = sscanf(params, "{\"count\":%d,\"bytes\":%lld,\"outstanding\":%d,\"storage\":\"%63[^\"]\"}", &o->count,
                     &o->bytes, &o->outstanding, o->storage) == 4
                  ? 1
                  : -1;
}

static void on_answered(EVP_RPC_RESPONSE_CALLBACK_REASON reason, void *user) {
  (void)reason;
  (void)user;
}

static void on_uploaded(EVP_BLOB_CALLBACK_REASON reason, const void *result, void *user) {
  struct upload *u = user;
  const struct EVP_BlobResultEvp *r = result;
  --u->of->under_way;
  u->of->ended[u->number] = now_ms();
  if (reason != EVP_BLOB_CALLBACK_REASON_DONE || r->result != EVP_BLOB_RESULT_SUCCESS) ++u->of->failed;
  free(u);
}

/* Files beyond this are holes: what they cost to read is no matter here. */
static const long long largest_written = 4LL << 30;

/* Writes the file unless it is there with that size. */
static int make_file(const char *path, long long bytes) {
  static char block[65536];
  FILE *f = fopen(path, "ab+");
  if (!f) return -1;
  if (bytes > largest_written) {
    int r = ftruncate(fileno(f), bytes);
    return fclose(f) == 0 && r == 0 ? 0 : -1;
  }
  fseek(f, 0, SEEK_END);
  long long have = ftell(f);
  for (size_t i = 0; i < sizeof block; ++i) block[i] = (char)(i * 31 + have);
  while (have < bytes) {
    size_t part = bytes - have < (long long)sizeof block ? (size_t)(bytes - have) : sizeof block;
    if (fwrite(block, 1, part, f) != part) break;
    have += (long long)part;
  }
  return fclose(f) == 0 && have == bytes ? 0 : -1;
}

static struct upload *new_upload(struct EVP_client *h, struct run *of, const struct order *o, int number) {
  struct upload *u = calloc(1, sizeof *u);
  if (!u) abort();
  u->of = of;
  u->number = number;
  snprintf(u->name, sizeof u->name, "bench/%lld-%d.bin", o->bytes, number);
  snprintf(u->path, sizeof u->path, "%s/%lld-%d.bin", EVP_getWorkspaceDirectory(h, EVP_WORKSPACE_TYPE_DEFAULT), o->bytes,
           number);
  u->request.remote_name = u->name;
  u->request.storage_name = o->storage;
  u->store.filename = u->path;
  return u;
}

/* {"ms":12.3,"failed":0,"files":[[begun,ended],...]} */
static char *answer_of(const struct run *r, const struct order *o, double ms) {
  size_t room = 64 + 48 * (size_t)o->count, used;
  char *text = malloc(room);
  int i, listed = o->count <= 1000 ? o->count : 0; /* an answer has its bounds */
  if (!text) abort();
  used = (size_t)snprintf(text, room, "{\"ms\":%.3f,\"failed\":%d,\"files\":[", ms, r->failed);
  for (i = 0; i < listed; ++i)
    used += (size_t)snprintf(text + used, room - used, "%s[%.3f,%.3f]", i ? "," : "", r->begun[i], r->ended[i]);
  snprintf(text + used, room - used, "]}");
  return text;
}

static void run(struct EVP_client *h, const struct order *o) {
  struct run r = {0, 0, calloc((size_t)o->count, sizeof(double)), calloc((size_t)o->count, sizeof(double))};
  char *answer;
  double began;
  int i;
  if (!r.begun || !r.ended) abort();
  for (i = 0; i < o->count; ++i) {
    struct upload *u = new_upload(h, &r, o, i);
    if (make_file(u->path, o->bytes) != 0) r.failed = 1;
    free(u);
  }
  began = now_ms();
  for (i = 0; i < o->count && r.failed == 0; ++i) {
    struct upload *u = new_upload(h, &r, o, i);
    ++r.under_way;
    r.begun[i] = now_ms();
    if (EVP_blobOperation(h, EVP_BLOB_TYPE_EVP_EXT, EVP_BLOB_OP_PUT, &u->request, &u->store, on_uploaded, u) != EVP_OK) {
      r.failed = 1;
      --r.under_way;
      free(u);
    }
    while (r.under_way >= o->outstanding && EVP_processEvent(h, 60000) != EVP_SHOULDEXIT) continue;
  }
  while (r.under_way > 0 && EVP_processEvent(h, 60000) != EVP_SHOULDEXIT) continue;
  answer = answer_of(&r, o, now_ms() - began);
  EVP_sendRpcResponse(h, o->id, answer, EVP_RPC_RESPONSE_STATUS_OK, on_answered, NULL);
  free(answer);
  free(r.begun);
  free(r.ended);
}

int main(void) {
  static struct order o;
  struct EVP_client *h = EVP_initialize();
  EVP_setRpcCallback(h, on_command, &o);
  while (EVP_processEvent(h, -1) != EVP_SHOULDEXIT) {
    int wanted = o.wanted;
    o.wanted = 0;
    if (wanted > 0) run(h, &o);
    if (wanted < 0)
      EVP_sendRpcResponse(h, o.id, "\"params must be count, bytes, outstanding, storage\"", EVP_RPC_RESPONSE_STATUS_ERROR,
                          on_answered, NULL);
  }
  return 0;
}
