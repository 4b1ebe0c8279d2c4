/* Life of a module, configuration, state, telemetry, messages, direct commands, streams. See sdk.h for the rules. */
#ifndef EVP_SDK_BASE_H
#define EVP_SDK_BASE_H

#include "evp/sdk_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Connects to the runtime, over the socket that EVP_MODULE_SDK_SOCKET_PATH names (default /evp/sdk.sock). Call it once,
 * first. A module without its runtime can do nothing: if the connection fails, the reason is written to stderr and the
 * process is aborted (SIGABRT), as with the public SDK. Never returns NULL.
 */
struct EVP_client *EVP_initialize(void);

/*
 * The absolute path of the folder that belongs to this module instance; it survives restarts, and is removed when the
 * instance is undeployed. Files for EVP_blobOperation() must lie in it. The text belongs to the SDK and lives as long
 * as the handle. NULL for another type.
 */
const char *EVP_getWorkspaceDirectory(struct EVP_client *h, EVP_WORKSPACE_TYPE type);

/*
 * Waits for one event and runs its callback. timeout_ms: 0 looks and returns, -1 (any negative) waits for ever.
 * Answers EVP_OK (one event was processed), EVP_TIMEDOUT (none came), EVP_SHOULDEXIT (all events have been processed
 * and the process should end; also if the runtime has gone), EVP_AGENT_PROTOCOL_ERROR.
 */
EVP_RESULT EVP_processEvent(struct EVP_client *h, int timeout_ms);

/*
 * Sets the callback for configuration, once, and asks for the whole configuration: it comes as one event per topic,
 * later changes too. A topic that is deleted at the hub is not told. EVP_INVAL for a second call or a NULL callback.
 */
EVP_RESULT EVP_setConfigurationCallback(struct EVP_client *h, EVP_CONFIGURATION_CALLBACK cb, void *userData);

/*
 * Publishes `state` (statelen bytes of UTF-8) under `topic` at the hub. The latest per topic wins, also over restarts
 * of the network. Errors: EVP_INVAL (topic empty or with a '/' at its begin, state no UTF-8), EVP_TOOBIG,
 * EVP_DENIED (more than 64 topics), EVP_AGAIN, EVP_TIMEDOUT, EVP_SHOULDEXIT.
 */
EVP_RESULT EVP_sendState(struct EVP_client *h, const char *topic, const void *state, size_t statelen,
                         EVP_STATE_CALLBACK cb, void *userData);

/*
 * Sends nentries values together. Errors: EVP_INVAL (nothing to send, a value that is no JSON text), EVP_TOOBIG,
 * EVP_AGAIN, EVP_TIMEDOUT, EVP_SHOULDEXIT.
 */
EVP_RESULT EVP_sendTelemetry(struct EVP_client *h, const struct EVP_telemetry_entry *entries, size_t nentries,
                             EVP_TELEMETRY_CALLBACK cb, void *userData);

/*
 * Sends a message to the module instances that subscribe to the topic which the manifest gives to this module's alias
 * `topic`. Errors: EVP_INVAL, EVP_TOOBIG, EVP_AGAIN, EVP_TIMEDOUT, EVP_SHOULDEXIT.
 */
EVP_RESULT EVP_sendMessage(struct EVP_client *h, const char *topic, const void *blob, size_t bloblen,
                           EVP_MESSAGE_SENT_CALLBACK cb, void *userData);

/* Sets the callback for messages of other modules. EVP_INVAL for a second call or a NULL callback. */
EVP_RESULT EVP_setMessageCallback(struct EVP_client *h, EVP_MESSAGE_RECEIVED_CALLBACK incoming_cb, void *userData);

/* Sets the callback for direct commands. EVP_INVAL for a second call or a NULL callback. */
EVP_RESULT EVP_setRpcCallback(struct EVP_client *h, EVP_RPC_REQUEST_CALLBACK cb, void *userData);

/*
 * Answers a direct command with JSON text; may be called in the RPC callback. Errors: EVP_INVAL (NULL response, an id
 * that is not outstanding, unknown status), EVP_TOOBIG, EVP_AGAIN, EVP_TIMEDOUT, EVP_SHOULDEXIT.
 */
EVP_RESULT EVP_sendRpcResponse(struct EVP_client *h, EVP_RPC_ID id, const char *response,
                               EVP_RPC_RESPONSE_STATUS status, EVP_RPC_RESPONSE_CALLBACK cb, void *userData);

/* Streams are not offered over this transport: each answers EVP_NOTSUP and touches nothing. */
EVP_RESULT EVP_streamInputOpen(struct EVP_client *h, const char *name, EVP_STREAM_READ_CALLBACK cb, void *userData,
                               EVP_STREAM *stream);
EVP_RESULT EVP_streamOutputOpen(struct EVP_client *h, const char *name, EVP_STREAM *stream);
EVP_RESULT EVP_streamWrite(struct EVP_client *h, EVP_STREAM stream, const void *buf, size_t n);
EVP_RESULT EVP_streamClose(struct EVP_client *h, EVP_STREAM stream);

#ifdef __cplusplus
}
#endif

#endif
