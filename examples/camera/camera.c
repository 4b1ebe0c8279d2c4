/*
 * A camera that knows no storage: it takes a picture every few seconds, or on command, and uploads it.
 *
 * Configuration, topic "upload": {"intervalSeconds":5,"storage":"name" or null,"prefix":"pictures/"}. 0 seconds: only
 * on command. Direct command "take-picture", parameters {} or {"keep":true}: answers {"name":...,"file":...,"size":...,
 * "result":...,"httpStatus":...,"error":...} when the upload has ended. The same is published as the state "last-upload"
 * after each upload. The picture's file is deleted then, unless the command said to keep it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "evp/sdk.h"
#include "json_field.h"
#include "picture.h"

enum { max_outstanding = 16, max_commands = 8 };

/* One picture on its way. Free when `name` is empty. */
struct shot {
  struct camera *camera;
  char name[192]; /* in the storage */
  char file[512];
  long size;
  EVP_RPC_ID command; /* 0: none waits for it */
  int keep;
  int ended;
  EVP_BLOB_CALLBACK_REASON reason;
  struct EVP_BlobResultEvp result;
};

/* A command that waits for its picture to be taken. */
struct wanted {
  EVP_RPC_ID id;
  int keep;
};

struct camera {
  struct EVP_client *h;
  double interval_seconds;
  double next; /* when the next picture is due, in seconds of now_seconds() */
  char storage[65]; /* empty: the default storage */
  char prefix[101];
  unsigned long number;
  struct shot shots[max_outstanding];
  struct wanted commands[max_commands];
  int command_count;
};

static double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Names are ours or come from configuration: a prefix that would need escapes in JSON is refused there. */
static int is_plain(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\' || *text == 0x7f) return 0;
  return 1;
}

static void on_configuration(const char *topic, const void *config, size_t size, void *user) {
  struct camera *c = user;
  double interval = 5;
  char storage[sizeof c->storage] = "", prefix[sizeof c->prefix] = "pictures/";
  if (strcmp(topic, "upload") != 0) return;
  const enum json_kind i = json_field(config, size, "intervalSeconds", NULL, 0, &interval);
  const enum json_kind s = json_field(config, size, "storage", storage, sizeof storage, NULL);
  const enum json_kind p = json_field(config, size, "prefix", prefix, sizeof prefix, NULL);
  if ((i != JSON_NUMBER && i != JSON_ABSENT) || (s != JSON_STRING && s != JSON_NULL && s != JSON_ABSENT) ||
      (p != JSON_STRING && p != JSON_ABSENT) || interval < 0 || interval > 86400 || !is_plain(prefix)) {
    fprintf(stderr,
            "configuration \"upload\" is not understood and was left aside; example: "
            "{\"intervalSeconds\":5,\"storage\":null,\"prefix\":\"pictures/\"}\n");
    return;
  }
  c->interval_seconds = interval;
  c->next = now_seconds();
  strcpy(c->storage, storage);
  strcpy(c->prefix, prefix);
}

static void on_command(EVP_RPC_ID id, const char *method, const char *params, void *user) {
  struct camera *c = user;
  double keep = 0;
  const enum json_kind k = json_field(params, strlen(params), "keep", NULL, 0, &keep);
  if (strcmp(method, "take-picture") != 0) {
    EVP_sendRpcResponse(c->h, id, "{\"error\":\"this camera knows take-picture\"}",
                        EVP_RPC_RESPONSE_STATUS_METHOD_NOT_FOUND, NULL, NULL);
  } else if (k != JSON_BOOL && k != JSON_ABSENT) {
    EVP_sendRpcResponse(c->h, id, "{\"error\":\"keep must be true or false\"}", EVP_RPC_RESPONSE_STATUS_ERROR, NULL, NULL);
  } else if (c->command_count == max_commands) {
    EVP_sendRpcResponse(c->h, id, "{\"error\":\"too many pictures are waiting\"}", EVP_RPC_RESPONSE_STATUS_ERROR, NULL,
                        NULL);
  } else {
    c->commands[c->command_count].id = id;
    c->commands[c->command_count++].keep = keep != 0;
  }
}

static void on_uploaded(EVP_BLOB_CALLBACK_REASON reason, const void *result, void *user) {
  struct shot *s = user;
  s->ended = 1;
  s->reason = reason;
  if (result) s->result = *(const struct EVP_BlobResultEvp *)result;
}

/* Tells how the upload ended, deletes the picture's file, frees the place. */
static void finish(struct camera *c, struct shot *s) {
  const int good = s->reason == EVP_BLOB_CALLBACK_REASON_DONE && s->result.result == EVP_BLOB_RESULT_SUCCESS;
  char text[512];
  snprintf(text, sizeof text,
           "{\"name\":\"%s\",\"file\":\"%s\",\"size\":%ld,\"result\":\"%s\",\"httpStatus\":%u,\"error\":%d}", s->name,
           strrchr(s->file, '/') + 1, s->size, good ? "success" : "error", s->result.http_status, s->result.error);
  if (!s->keep) unlink(s->file);
  if (s->command)
    EVP_sendRpcResponse(c->h, s->command, text, good ? EVP_RPC_RESPONSE_STATUS_OK : EVP_RPC_RESPONSE_STATUS_ERROR, NULL,
                        NULL);
  EVP_sendState(c->h, "last-upload", text, strlen(text), NULL, NULL);
  memset(s, 0, sizeof *s);
}

static struct shot *free_place(struct camera *c) {
  int i;
  for (i = 0; i < max_outstanding; i++)
    if (!c->shots[i].name[0]) return &c->shots[i];
  return NULL;
}

/* Takes a picture and hands it over. Returns 0 if all places are taken: uploads are slower than pictures. */
static int take_picture(struct camera *c, struct wanted command) {
  struct shot *s = free_place(c);
  struct stat st;
  if (!s) return 0;
  c->number++;
  s->camera = c;
  s->command = command.id;
  s->keep = command.keep;
  snprintf(s->name, sizeof s->name, "%s%lld-%06lu.jpg", c->prefix, (long long)time(NULL), c->number);
  snprintf(s->file, sizeof s->file, "%s/frame-%06lu.jpg", EVP_getWorkspaceDirectory(c->h, EVP_WORKSPACE_TYPE_DEFAULT),
           c->number);
  const int e = write_picture(s->file, c->number);
  EVP_RESULT r = EVP_ERROR;
  if (e == 0 && stat(s->file, &st) == 0) {
    struct EVP_BlobRequestEvpExt request = {s->name, c->storage[0] ? c->storage : NULL};
    struct EVP_BlobLocalStore store = {s->file, NULL, 0};
    s->size = (long)st.st_size;
    r = EVP_blobOperation(c->h, EVP_BLOB_TYPE_EVP_EXT, EVP_BLOB_OP_PUT, &request, &store, on_uploaded, s);
  }
  if (r != EVP_OK) {
    fprintf(stderr, "picture %s was not accepted: result %d, errno %d\n", s->name, (int)r, e);
    s->ended = 1;
    s->result.result = EVP_BLOB_RESULT_ERROR;
    s->result.error = e;
  }
  return 1;
}

int main(void) {
  static struct camera c = {.interval_seconds = 0, .prefix = "pictures/"};
  c.h = EVP_initialize();
  EVP_setRpcCallback(c.h, on_command, &c);
  EVP_setConfigurationCallback(c.h, on_configuration, &c);
  for (;;) {
    int wait_ms = -1, i;
    if (c.interval_seconds > 0) {
      const double left = c.next - now_seconds();
      wait_ms = left > 0 ? (int)(left * 1000) + 1 : 0;
    }
    const EVP_RESULT r = EVP_processEvent(c.h, wait_ms);
    if (r == EVP_SHOULDEXIT) return 0;
    if (r != EVP_OK && r != EVP_TIMEDOUT) return 1;
    for (i = 0; i < max_outstanding; i++)
      if (c.shots[i].ended) finish(&c, &c.shots[i]);
    while (c.command_count > 0 && take_picture(&c, c.commands[0])) {
      c.command_count--;
      memmove(c.commands, c.commands + 1, (size_t)c.command_count * sizeof c.commands[0]);
    }
    if (c.interval_seconds > 0 && now_seconds() >= c.next) {
      const struct wanted none = {0, 0};
      take_picture(&c, none);
      c.next = now_seconds() + c.interval_seconds;
    }
    for (i = 0; i < max_outstanding; i++)
      if (c.shots[i].ended) finish(&c, &c.shots[i]);
  }
}
