/*
 * The module of evp-faults: makes files, asks for the upload of each until it is accepted, and writes down, durably,
 * what it was promised and what it was told. It is killed with its runtime and goes on where its records say.
 *
 * The configuration "order" is "<seed> <files> <open at once> <folder of the records, or .>". A file may need several
 * attempts, each under a name of its own, "<number>-<attempt>". Records, one a line:
 *   life                                         a process of this module has begun
 *   asking N A                                   EVP_blobOperation is about to be called
 *   accepted N A ID                              EVP_OK
 *   refused N A CODE                             the operation must never be carried out
 *   unclear N A CODE                             no answer in time: nobody knows
 *   told N A ID own|later RESULT HTTP ERRNO      its outcome, by its own callback or by that of a later life
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "evp/sdk.h"
#include "fault_files.h"

enum { max_path = 512, max_files = 1000000, pause_ms = 200 };

static struct {
  int begun, records;
  uint64_t seed;
  unsigned files, at_once, next, open;
  char folder[max_path / 2];
  const char *workspace;
  unsigned *attempts;      /* of each file */
  unsigned char *accepted; /* of each file: 0 or 1 */
} all;

struct operation {
  unsigned number, attempt;
  EVP_BLOB_OPERATION_ID id;
};

static void record(const char *format, ...) {
  char line[160];
  int size;
  va_list args;
  va_start(args, format);
  size = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (write(all.records, line, (size_t)size) != size || fdatasync(all.records) != 0) abort();
}

static void path_of(char *to, unsigned number, unsigned attempt) {
  snprintf(to, max_path, "%s/%u-%u", all.workspace, number, attempt);
}

static void remove_file(unsigned number, unsigned attempt) {
  char path[max_path];
  path_of(path, number, attempt);
  unlink(path);
}

static void told(unsigned number, unsigned attempt, EVP_BLOB_OPERATION_ID id, const char *how, int result,
                 unsigned http_status, int error) {
  record("told %u %u %" PRIu64 " %s %d %u %d\n", number, attempt, id, how, result, http_status, error);
  remove_file(number, attempt);
  if (all.open > 0) --all.open;
}

static void on_uploaded(EVP_BLOB_CALLBACK_REASON reason, const void *result, void *user) {
  struct operation *o = user;
  const struct EVP_BlobResultEvp *r = result;
  if (reason == EVP_BLOB_CALLBACK_REASON_DONE)
    told(o->number, o->attempt, o->id, "own", (int)r->result, r->http_status, r->error);
  if (reason == EVP_BLOB_CALLBACK_REASON_DENIED) told(o->number, o->attempt, o->id, "own", EVP_BLOB_RESULT_ERROR, 0, 0);
  free(o);
}

static void on_outcome(const struct EVP_BlobOutcome *outcome, void *user) {
  unsigned number = 0, attempt = 0;
  (void)user;
  if (sscanf(outcome->remote_name, "%u-%u", &number, &attempt) == 2)
    told(number, attempt, outcome->id, "later", (int)outcome->result, outcome->http_status, outcome->error);
}

static void read_records(const char *path) {
  char line[160];
  FILE *in = fopen(path, "r");
  while (in && fgets(line, sizeof line, in)) {
    unsigned n = 0, a = 0;
    if (sscanf(line, "%*s %u %u", &n, &a) != 2 || n >= all.files) continue;
    if (strncmp(line, "asking ", 7) == 0) all.attempts[n] = a;
    if (strncmp(line, "accepted ", 9) == 0) all.accepted[n] = 1, ++all.open;
    if (strncmp(line, "told ", 5) == 0 && all.open > 0) --all.open;
  }
  if (in) fclose(in);
}

static void on_configuration(const char *topic, const void *config, size_t size, void *user) {
  char text[max_path], path[max_path];
  (void)user;
  if (all.begun || strcmp(topic, "order") != 0 || size >= sizeof text) return;
  memcpy(text, config, size);
  text[size] = '\0';
  if (sscanf(text, "%" SCNu64 " %u %u %255s", &all.seed, &all.files, &all.at_once, all.folder) != 4) return;
  if (all.files > max_files) return;
  snprintf(path, sizeof path, "%s/records", strcmp(all.folder, ".") == 0 ? all.workspace : all.folder);
  all.attempts = calloc(all.files, sizeof *all.attempts);
  all.accepted = calloc(all.files, 1);
  all.records = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (!all.attempts || !all.accepted || all.records < 0) abort();
  read_records(path);
  record("life\n");
  all.begun = 1;
}

static int make_file(const char *path, unsigned number) {
  static unsigned char block[65536];
  const uint64_t size = fault_file_size(all.seed, number);
  uint64_t have = 0;
  FILE *f = fopen(path, "wb");
  if (!f) return -1;
  while (have < size) {
    const size_t part = size - have < sizeof block ? (size_t)(size - have) : sizeof block;
    fault_file_bytes(all.seed, number, have, block, part);
    if (fwrite(block, 1, part, f) != part) break;
    have += part;
  }
  if (fclose(f) == 0 && have == size) return 0;
  unlink(path);
  return -1;
}

/* True when the file was accepted; else it is to be tried again after a pause. */
static int submit(struct EVP_client *h, unsigned number) {
  char path[max_path], name[64];
  struct EVP_BlobRequestEvpExt request = {name, NULL};
  struct EVP_BlobLocalStore store = {path, NULL, 0};
  struct operation *o;
  const unsigned attempt = all.attempts[number] + 1;
  EVP_RESULT answer;
  path_of(path, number, attempt);
  if (make_file(path, number) != 0) return 0; /* the disk is full */
  o = calloc(1, sizeof *o);
  if (!o) abort();
  o->number = number;
  o->attempt = attempt;
  snprintf(name, sizeof name, "%u-%u", number, attempt);
  record("asking %u %u\n", number, attempt);
  all.attempts[number] = attempt;
  answer = EVP_blobOperation(h, EVP_BLOB_TYPE_EVP_EXT, EVP_BLOB_OP_PUT, &request, &store, on_uploaded, o);
  if (answer == EVP_OK) {
    o->id = EVP_blobOperationId(h);
    record("accepted %u %u %" PRIu64 "\n", number, attempt, o->id);
    all.accepted[number] = 1;
    ++all.open;
    return 1;
  }
  free(o);
  if (answer == EVP_TIMEDOUT || answer == EVP_SHOULDEXIT) {
    record("unclear %u %u %d\n", number, attempt, (int)answer);
  } else {
    record("refused %u %u %d\n", number, attempt, (int)answer);
    unlink(path);
  }
  return 0;
}

int main(void) {
  struct EVP_client *h = EVP_initialize();
  EVP_RESULT answer = EVP_OK;
  all.workspace = EVP_getWorkspaceDirectory(h, EVP_WORKSPACE_TYPE_DEFAULT);
  EVP_setConfigurationCallback(h, on_configuration, NULL);
  while (!all.begun && answer != EVP_SHOULDEXIT) answer = EVP_processEvent(h, -1);
  EVP_setBlobOutcomeCallback(h, on_outcome, NULL); /* now there is where to write them down */
  while (answer != EVP_SHOULDEXIT) {
    int wait = -1;
    while (all.next < all.files && all.accepted[all.next]) ++all.next;
    if (all.next < all.files && all.open < all.at_once) wait = submit(h, all.next) ? 0 : pause_ms;
    answer = EVP_processEvent(h, wait);
  }
  return 0;
}
