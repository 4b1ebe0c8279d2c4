// The C API but for blobs: parameters are checked here, requests built and sent.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sdk/boundary.h"

namespace fb = evp::module_socket;
using namespace evp::sdk;

namespace {

[[noreturn]] void give_up(const char* path, int e) {
  std::fprintf(stderr,
               "EVP_initialize: cannot connect to the runtime at %s: %s. A module must be started by evp-runtime, "
               "which sets EVP_MODULE_SDK_SOCKET_PATH.\n",
               path, std::strerror(e));
  std::abort();
}

int connect_to(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) give_up(path, ENAMETOOLONG);
  std::strcpy(address.sun_path, path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up(path, errno);
  return fd;
}

flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> bytes(flatbuffers::FlatBufferBuilder& b, const void* data,
                                                             std::size_t size) {
  return b.CreateVector(static_cast<const std::uint8_t*>(data), size);
}

/// Cheaper than building a buffer that cannot be sent.
bool fits(std::size_t size) { return size <= max_message_bytes; }

}  // namespace

extern "C" {

EVP_client* EVP_initialize(void) {
  const char* path = std::getenv("EVP_MODULE_SDK_SOCKET_PATH");
  if (!path) path = "/evp/sdk.sock";
  const char* workspace = std::getenv("EVP_MODULE_SDK_DEFAULT_WORKSPACE_PATH");
  if (!workspace) workspace = "/evp/default_workspace";
  try {
    static EVP_client* latest = nullptr;  // the API has no end for a client: it lives as long as the process
    auto* h = new EVP_client(connect_to(path), workspace);
    h->elder = latest;
    latest = h;
    clean_spool(workspace);
    return h;
  } catch (...) { give_up(path, ENOMEM); }
}

const char* EVP_getWorkspaceDirectory(EVP_client* h, EVP_WORKSPACE_TYPE type) {
  return h && type == EVP_WORKSPACE_TYPE_DEFAULT ? h->workspace().c_str() : nullptr;
}

EVP_RESULT EVP_processEvent(EVP_client* h, int timeout_ms) {
  return guarded(h, [&] { return h->process_event(timeout_ms); });
}

EVP_RESULT EVP_setConfigurationCallback(EVP_client* h, EVP_CONFIGURATION_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!cb || h->on_configuration) return EVP_INVAL;
    h->on_configuration = cb;
    h->configuration_user = userData;
    flatbuffers::FlatBufferBuilder b;
    return call(h, b, fb::RequestBody_RequestResendConfig, fb::CreateRequestResendConfig(b));
  });
}

EVP_RESULT EVP_sendState(EVP_client* h, const char* topic, const void* state, size_t statelen, EVP_STATE_CALLBACK cb,
                         void* userData) {
  return guarded(h, [&] {
    if (!topic || (!state && statelen > 0)) return EVP_INVAL;
    if (!fits(statelen)) return EVP_TOOBIG;
    flatbuffers::FlatBufferBuilder b;
    const auto t = b.CreateString(topic);
    const auto v = bytes(b, state, statelen);
    const auto token = h->expect(cb, userData);
    return call_expecting(h, b, fb::RequestBody_StateInput, fb::CreateStateInput(b, t, v, token), token);
  });
}

EVP_RESULT EVP_sendTelemetry(EVP_client* h, const EVP_telemetry_entry* entries, size_t nentries,
                             EVP_TELEMETRY_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!entries || nentries == 0) return EVP_INVAL;
    flatbuffers::FlatBufferBuilder b;
    std::vector<flatbuffers::Offset<fb::TelemetryEntry>> all;
    std::size_t size = 0;
    for (std::size_t i = 0; i < nentries; ++i) {
      if (!entries[i].key || !entries[i].value) return EVP_INVAL;
      size += std::strlen(entries[i].key) + std::strlen(entries[i].value);
      if (!fits(size)) return EVP_TOOBIG;
      const auto key = b.CreateString(entries[i].key);
      const auto value = b.CreateString(entries[i].value);
      all.push_back(fb::CreateTelemetryEntry(b, key, value));
    }
    const auto v = b.CreateVector(all);
    const auto token = h->expect(cb, userData);
    return call_expecting(h, b, fb::RequestBody_TelemetryInput, fb::CreateTelemetryInput(b, v, token), token);
  });
}

EVP_RESULT EVP_sendMessage(EVP_client* h, const char* topic, const void* blob, size_t bloblen,
                           EVP_MESSAGE_SENT_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!topic || (!blob && bloblen > 0)) return EVP_INVAL;
    if (!fits(bloblen)) return EVP_TOOBIG;
    flatbuffers::FlatBufferBuilder b;
    const auto t = b.CreateString(topic);
    const auto v = bytes(b, blob, bloblen);
    const auto token = h->expect(cb, userData);
    return call_expecting(h, b, fb::RequestBody_MessageSentInput, fb::CreateMessageSentInput(b, t, v, token), token);
  });
}

EVP_RESULT EVP_setMessageCallback(EVP_client* h, EVP_MESSAGE_RECEIVED_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!cb || h->on_message) return EVP_INVAL;
    h->on_message = cb;
    h->message_user = userData;
    return EVP_OK;
  });
}

EVP_RESULT EVP_setRpcCallback(EVP_client* h, EVP_RPC_REQUEST_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!cb || h->on_rpc) return EVP_INVAL;
    h->on_rpc = cb;
    h->rpc_user = userData;
    return EVP_OK;
  });
}

EVP_RESULT EVP_sendRpcResponse(EVP_client* h, EVP_RPC_ID id, const char* response, EVP_RPC_RESPONSE_STATUS status,
                               EVP_RPC_RESPONSE_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!response || status < EVP_RPC_RESPONSE_STATUS_OK || status > EVP_RPC_RESPONSE_STATUS_ERROR) return EVP_INVAL;
    if (!fits(std::strlen(response))) return EVP_TOOBIG;
    flatbuffers::FlatBufferBuilder b;
    const auto text = b.CreateString(response);
    const auto token = h->expect(cb, userData);
    return call_expecting(h, b, fb::RequestBody_RpcResponseInput,
                          fb::CreateRpcResponseInput(b, id, text, std::uint32_t(status), token), token);
  });
}

EVP_RESULT EVP_streamInputOpen(EVP_client*, const char*, EVP_STREAM_READ_CALLBACK, void*, EVP_STREAM*) {
  return EVP_NOTSUP;
}
EVP_RESULT EVP_streamOutputOpen(EVP_client*, const char*, EVP_STREAM*) { return EVP_NOTSUP; }
EVP_RESULT EVP_streamWrite(EVP_client*, EVP_STREAM, const void*, size_t) { return EVP_NOTSUP; }
EVP_RESULT EVP_streamClose(EVP_client*, EVP_STREAM) { return EVP_NOTSUP; }
}
