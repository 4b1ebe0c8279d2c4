/* Types of the EVP module SDK that all its parts share. Every enum is as wide as an int. */
#ifndef EVP_SDK_TYPES_H
#define EVP_SDK_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The connection to the runtime, made by EVP_initialize(). Lives until the process ends. */
struct EVP_client;

/* What a function of the SDK answers. */
typedef enum {
  EVP_OK = 0,
  EVP_SHOULDEXIT = 1,           /* the module is to be stopped, or the runtime has gone: clean up and end the process */
  EVP_TIMEDOUT = 2,             /* nothing happened in the time given, or the runtime did not answer within 30 s */
  EVP_ERROR = 3,                /* failed for a reason that has no value of its own */
  EVP_INVAL = 4,                /* a parameter can never work as it is */
  EVP_NOMEM = 5,                /* out of memory or of disk space */
  EVP_TOOBIG = 6,               /* more than the transport takes: a call may carry 128 KiB less some 200 bytes */
  EVP_AGAIN = 7,                /* too many calls are waiting for their callback: process events, then try again */
  EVP_AGENT_PROTOCOL_ERROR = 8, /* the runtime sent something that is no answer */
  EVP_EXIST = 9,                /* already there */
  EVP_FAULT = 10,               /* a callback of the module failed */
  EVP_DENIED = 11,              /* not now: too many operations of this kind are under way */
  EVP_NOTSUP = 12,              /* not offered by this runtime or transport */
  EVP_RESULT_DUMMY = 0x3fffffff
} EVP_RESULT;

typedef enum {
  EVP_WORKSPACE_TYPE_DEFAULT = 0, /* files that survive restarts of the module, until it is undeployed */
  EVP_WORKSPACE_TYPE_DUMMY = 0x3fffffff
} EVP_WORKSPACE_TYPE;

/* What became of a state. */
typedef enum {
  EVP_STATE_CALLBACK_REASON_SENT = 0,        /* handed to the hub */
  EVP_STATE_CALLBACK_REASON_OVERWRITTEN = 1, /* a newer state of the same topic took its place */
  EVP_STATE_CALLBACK_REASON_EXIT = 2,        /* the module is being stopped */
  EVP_STATE_CALLBACK_REASON_DENIED = 3,      /* refused; not sent */
  EVP_STATE_CALLBACK_REASON_DUMMY = 0x3fffffff
} EVP_STATE_CALLBACK_REASON;

/* What became of a message to other modules. */
typedef enum {
  EVP_MESSAGE_SENT_CALLBACK_REASON_SENT = 0,  /* given to every subscriber */
  EVP_MESSAGE_SENT_CALLBACK_REASON_ERROR = 1, /* the topic is not published by this module, or a subscriber is full */
  EVP_MESSAGE_SENT_CALLBACK_REASON_EXIT = 2,  /* the module is being stopped */
  EVP_MESSAGE_SENT_CALLBACK_REASON_DUMMY = 0x3fffffff
} EVP_MESSAGE_SENT_CALLBACK_REASON;

/* What became of telemetry. */
typedef enum {
  EVP_TELEMETRY_CALLBACK_REASON_SENT = 0,   /* handed to the hub */
  EVP_TELEMETRY_CALLBACK_REASON_ERROR = 1,  /* could not be handed over; it is lost */
  EVP_TELEMETRY_CALLBACK_REASON_EXIT = 2,   /* the module is being stopped */
  EVP_TELEMETRY_CALLBACK_REASON_DENIED = 3, /* too much is waiting; not sent */
  EVP_TELEMETRY_CALLBACK_REASON_DUMMY = 0x3fffffff
} EVP_TELEMETRY_CALLBACK_REASON;

/* What became of the answer to a direct command. */
typedef enum {
  EVP_RPC_RESPONSE_CALLBACK_REASON_SENT = 0,
  EVP_RPC_RESPONSE_CALLBACK_REASON_ERROR = 1,
  EVP_RPC_RESPONSE_CALLBACK_REASON_EXIT = 2,
  EVP_RPC_RESPONSE_CALLBACK_REASON_DENIED = 3,
  EVP_RPC_RESPONSE_CALLBACK_REASON_DUMMY = 0x3fffffff
} EVP_RPC_RESPONSE_CALLBACK_REASON;

/* How a direct command ended, as the module says. */
typedef enum {
  EVP_RPC_RESPONSE_STATUS_OK = 0,
  EVP_RPC_RESPONSE_STATUS_METHOD_NOT_FOUND = 1,
  EVP_RPC_RESPONSE_STATUS_ERROR = 2,
  EVP_RPC_RESPONSE_STATUS_DUMMY = 0x3fffffff
} EVP_RPC_RESPONSE_STATUS;

/* Names one direct command until it has been answered. */
typedef uint64_t EVP_RPC_ID;

/* A stream, and a peer of one. This transport offers no streams. */
typedef int EVP_STREAM;
typedef unsigned long EVP_STREAM_PEER_ID;

/* One value of telemetry: a name, and JSON text (an object, array, string with its quotes, number, true, false, null). */
struct EVP_telemetry_entry {
  const char *key;
  const char *value;
};

/* `config` is `configlen` bytes, not terminated by a zero byte. */
typedef void (*EVP_CONFIGURATION_CALLBACK)(const char *topic, const void *config, size_t configlen, void *userData);
typedef void (*EVP_STATE_CALLBACK)(EVP_STATE_CALLBACK_REASON reason, void *userData);
typedef void (*EVP_MESSAGE_SENT_CALLBACK)(EVP_MESSAGE_SENT_CALLBACK_REASON reason, void *userData);
/* `topic` is the alias under which this module's manifest subscribes. */
typedef void (*EVP_MESSAGE_RECEIVED_CALLBACK)(const char *topic, const void *msgPayload, size_t msgPayloadLen,
                                              void *userData);
typedef void (*EVP_TELEMETRY_CALLBACK)(EVP_TELEMETRY_CALLBACK_REASON reason, void *userData);
/* `params` is JSON text. Answer with EVP_sendRpcResponse(), in the callback or later. */
typedef void (*EVP_RPC_REQUEST_CALLBACK)(EVP_RPC_ID id, const char *methodName, const char *params, void *userData);
typedef void (*EVP_RPC_RESPONSE_CALLBACK)(EVP_RPC_RESPONSE_CALLBACK_REASON reason, void *userData);
typedef void (*EVP_STREAM_READ_CALLBACK)(EVP_STREAM_PEER_ID id, const void *buf, size_t n, void *userData);

#ifdef __cplusplus
}
#endif

#endif
