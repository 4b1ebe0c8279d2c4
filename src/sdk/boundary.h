// Where C meets C++: no exception leaves, and a request is built in one way.
#pragma once

#include <new>
#include <string_view>

#include "module_socket_generated.h"
#include "sdk/client.h"

namespace evp::sdk {

template <class F>
EVP_RESULT guarded(EVP_client* h, F f) noexcept {
  if (!h) return EVP_INVAL;
  try {
    return f();
  } catch (const std::bad_alloc&) { return EVP_NOMEM; } catch (...) {
    return EVP_ERROR;
  }
}

/// Finishes the buffer as a Request and calls.
template <class T>
EVP_RESULT call(EVP_client* h, flatbuffers::FlatBufferBuilder& b, module_socket::RequestBody type,
                flatbuffers::Offset<T> body) {
  b.Finish(module_socket::CreateRequest(b, type, body.Union()));
  return h->call({reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize()});
}

/// The same for a request that a callback answers later. `operation`, if given, gets the id of a blob operation.
template <class T>
EVP_RESULT call_expecting(EVP_client* h, flatbuffers::FlatBufferBuilder& b, module_socket::RequestBody type,
                          flatbuffers::Offset<T> body, std::uint64_t token, std::uint64_t* operation = nullptr) {
  b.Finish(module_socket::CreateRequest(b, type, body.Union()));
  std::uint64_t ignored = 0;
  const std::string_view bytes(reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize());
  const auto r = h->call(bytes, operation ? *operation : ignored);
  // After a time-out the request may still be carried out, and its callback would find nothing: keep it.
  if (r != EVP_OK && r != EVP_TIMEDOUT) h->forget(token);
  return r;
}

}  // namespace evp::sdk
