// Saves the final answer of a server that refused an upload and closed before it had read the body.
#pragma once

#include <curl/curl.h>

#include <optional>
#include <set>

#include "http/client.h"

namespace evp::http {

/// The sockets that libcurl has open, since it names none while an exchange runs (CURLINFO_ACTIVESOCKET is for idle
/// handles). One per multi handle, on its thread, alive until the multi handle is gone.
class socket_registry {
 public:
  /// Makes the handle open and close its sockets through the registry.
  void watch(CURL* easy);
  /// The socket that is bound to this local address; -1 if there is none.
  int find(const char* local_ip, int local_port) const;

 private:
  static curl_socket_t on_open(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int on_close(void* self, curl_socket_t fd);
  std::set<int> open_;
};

struct early_answer {
  bool consumed = false;            ///< bytes were taken from the connection: it is of no use to libcurl any more
  std::optional<response> refusal;  ///< a final answer of 300 or above; a half-sent body has never succeeded
};

/// A server that answers 413 and closes makes the kernel reset the connection; the next write fails although the answer
/// already lies in our receive queue, and libcurl reports only the failed write. Called while the connection still
/// exists: if the peer has hung up, reads what it left behind, through TLS where there is TLS. A living connection, or
/// one that was closed without a word, is left as it is. RFC 9112, 9.5: a client should watch for such an answer.
early_answer read_early_answer(int fd, CURL* easy, std::size_t max_head_bytes, std::uint64_t max_body_bytes);

/// Reads head and whatever there is of the body. 1xx answers are skipped. Nothing if no final head is complete or the
/// answer is malformed.
std::optional<response> parse_answer(std::string_view bytes, std::uint64_t max_body_bytes);

}  // namespace evp::http
