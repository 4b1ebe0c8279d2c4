// One exchange of the client: a request, its libcurl handle, and what has come back so far.
#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <optional>

#include "base/freed.h"
#include "http/body_hash.h"
#include "http/client.h"
#include "http/early_answer.h"

namespace evp::http {

/// Created by the caller of client::send(), then used by the client's thread alone until `done` is called.
class transfer {
 public:
  explicit transfer(request r) : request_(std::move(r)) {}
  ~transfer();
  transfer(const transfer&) = delete;
  transfer& operator=(const transfer&) = delete;

  /// Judges the request without sending anything. Any thread. Errors: invalid_argument with the field's name.
  result<void> check();
  /// Makes the libcurl handle. `shared` holds TLS sessions; both must outlive it. Client's thread.
  /// Errors: internal (out of memory).
  result<void> prepare(CURLSH* shared, socket_registry& sockets);
  CURL* handle() const noexcept { return easy_.get(); }

  /// When the caller must be told that time is over, as of now; steady_time::max() if nothing limits it.
  steady_time deadline() const noexcept;
  /// The answer or error that libcurl's verdict means. Client's thread; the handle is not in use any more.
  result<response> finish(CURLcode code);
  /// Gives the libcurl handle back; on the client's thread, once the multi handle no longer knows it.
  void close() noexcept { easy_.reset(); }
  /// The error when deadline() has passed.
  error overdue(steady_time now) const;

  /// Set by the client: reports bytes moved to the request's on_progress, on the executor.
  std::function<void(std::uint64_t)> report;
  request& asked() noexcept { return request_; }

 private:
  static std::size_t on_read(char* buffer, std::size_t size, std::size_t count, void* self);
  static int on_seek(void* self, curl_off_t offset, int origin);
  static std::size_t on_header(char* line, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* self);
  static int on_transfer(void* self, curl_off_t, curl_off_t received, curl_off_t, curl_off_t sent);
  static int on_connected(void* self, char* peer_ip, char* local_ip, int peer_port, int local_port);

  bool read_header(std::string_view line);
  std::string_view text_around() const;
  bool stop(error e);
  void set_body();
  void set_trust();
  void set_route();
  bool add_fields();
  error explain(CURLcode code) const;

  std::unique_ptr<curl_slist, freed<curl_slist_free_all>> fields_, connect_to_;
  std::unique_ptr<CURL, freed<curl_easy_cleanup>> easy_;

  request request_;
  std::string host_;    ///< with the port as written; for messages
  std::string target_;  ///< path and query, as written
  bool tls_ = false;

  bool has_body_ = false;
  std::uint64_t body_length_ = 0;
  std::uint64_t body_given_ = 0;
  std::unique_ptr<body_hash> hash_;

  response response_;
  std::size_t head_bytes_ = 0;
  bool head_complete_ = false;
  std::optional<error> failure_;   ///< why one of our callbacks ended the exchange
  std::optional<response> early_;  ///< a final answer saved from a connection that broke while we were sending

  steady_time began_{};
  steady_time last_byte_{};
  steady_time last_report_{};
  curl_off_t reported_ = 0;
  socket_registry* sockets_ = nullptr;
  int socket_ = -1;
  bool connected_ = false;
  curl_off_t moved_ = 0;
};

}  // namespace evp::http
