// EVP_blobOperation: from a file, and from and to a module's memory.
#include <cerrno>

#include "sdk/boundary.h"
#include "sdk/http_ext.h"

namespace fb = evp::module_socket;
using namespace evp::sdk;

namespace {

struct encoded_request {
  fb::BlobRequest form = fb::BlobRequest_NONE;
  flatbuffers::Offset<void> offset;
};

/// The request that goes with the type. form NONE: something is missing or the type is unknown.
encoded_request encode(flatbuffers::FlatBufferBuilder& b, EVP_BLOB_TYPE type, const void* request) {
  switch (type) {
    case EVP_BLOB_TYPE_AZURE_BLOB: {
      const auto* r = static_cast<const EVP_BlobRequestAzureBlob*>(request);
      if (!r->url) return {};
      return {fb::BlobRequest_SignedUrlRequest, fb::CreateSignedUrlRequestDirect(b, r->url).Union()};
    }
    case EVP_BLOB_TYPE_EVP: {
      const auto* r = static_cast<const EVP_BlobRequestEvp*>(request);
      if (!r->remote_name) return {};
      return {fb::BlobRequest_NamedRequest, fb::CreateNamedRequestDirect(b, r->remote_name).Union()};
    }
    case EVP_BLOB_TYPE_EVP_EXT: {
      const auto* r = static_cast<const EVP_BlobRequestEvpExt*>(request);
      if (!r->remote_name) return {};
      return {fb::BlobRequest_NamedRequest, fb::CreateNamedRequestDirect(b, r->remote_name, r->storage_name).Union()};
    }
    case EVP_BLOB_TYPE_HTTP: {
      const auto* r = static_cast<const EVP_BlobRequestHttp*>(request);
      if (!r->url) return {};
      return {fb::BlobRequest_HttpRequest, fb::CreateHttpRequestDirect(b, r->url).Union()};
    }
    case EVP_BLOB_TYPE_HTTP_EXT: {
      const auto* r = static_cast<const EVP_BlobRequestHttpExt*>(request);
      if (r->url.empty()) return {};
      const auto url = b.CreateString(r->url);
      const auto headers = b.CreateVectorOfStrings(r->headers);
      return {fb::BlobRequest_HttpExtRequest, fb::CreateHttpExtRequest(b, url, headers).Union()};
    }
    default: return {};
  }
}

/// Puts the blob in memory into a file, or makes a place for the one that will come.
EVP_RESULT spool(EVP_client* h, transfer& t, const EVP_BlobLocalStore& store, void* user) {
  if (!store.io_cb) return EVP_INVAL;
  if (t.op == EVP_BLOB_OP_PUT && store.blob_len > max_spooled_bytes) return EVP_TOOBIG;
  t.io = store.io_cb;
  t.spooled = new_spooled_blob(h->workspace());
  if (!t.spooled) return errno == ENOSPC ? EVP_NOMEM : EVP_ERROR;
  return t.op == EVP_BLOB_OP_PUT ? t.spooled->fill(store.io_cb, store.blob_len, user) : EVP_OK;
}

}  // namespace

extern "C" {

EVP_RESULT EVP_blobOperation(EVP_client* h, EVP_BLOB_TYPE type, EVP_BLOB_OPERATION op, const void* request,
                             EVP_BlobLocalStore* localStore, EVP_BLOB_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!request || !localStore || (op != EVP_BLOB_OP_GET && op != EVP_BLOB_OP_PUT)) return EVP_INVAL;
    flatbuffers::FlatBufferBuilder b;
    const auto wanted = encode(b, type, request);
    if (wanted.form == fb::BlobRequest_NONE) return EVP_INVAL;
    if (b.GetSize() > max_message_bytes) return EVP_TOOBIG;

    transfer t{type, op, cb, nullptr, nullptr};
    if (!localStore->filename) {
      if (const auto r = spool(h, t, *localStore, userData); r != EVP_OK) return r;
    }
    const auto file = b.CreateString(t.spooled ? t.spooled->path().c_str() : localStore->filename);
    const bool spooled = t.spooled && op == EVP_BLOB_OP_PUT;
    const auto token = h->expect(std::move(t), userData);
    const auto body = fb::CreateBlobInput(b, std::uint32_t(type), std::uint32_t(op), wanted.form, wanted.offset, file,
                                          token, 0, std::uint8_t(h->priority), spooled, h->on_outcome != nullptr);
    std::uint64_t operation = 0;
    const auto r = call_expecting(h, b, fb::RequestBody_BlobInput, body, token, &operation);
    if (r != EVP_OK) return r;
    h->last_operation = operation;
    if (spooled && operation != 0) h->drop_spooled(token);
    return r;
  });
}

EVP_RESULT EVP_setBlobOutcomeCallback(EVP_client* h, EVP_BLOB_OUTCOME_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    if (!cb || h->on_outcome) return EVP_INVAL;
    h->on_outcome = cb;
    h->outcome_user = userData;
    return EVP_OK;
  });
}

EVP_RESULT EVP_setBlobProgressCallback(EVP_client* h, EVP_BLOB_PROGRESS_CALLBACK cb, void* userData) {
  return guarded(h, [&] {
    h->on_progress = cb;
    h->progress_user = userData;
    return EVP_OK;
  });
}

EVP_BLOB_OPERATION_ID EVP_blobOperationId(EVP_client* h) { return h ? h->last_operation : 0; }

EVP_RESULT EVP_setBlobPriority(EVP_client* h, EVP_BLOB_PRIORITY priority) {
  return guarded(h, [&] {
    if (priority < EVP_BLOB_PRIORITY_LOW || priority > EVP_BLOB_PRIORITY_HIGH) return EVP_INVAL;
    h->priority = priority;
    return EVP_OK;
  });
}

EVP_RESULT EVP_blobGetUploadURL(EVP_client*, const char*, const char*, EVP_BLOB_CALLBACK, void*) { return EVP_NOTSUP; }
}
