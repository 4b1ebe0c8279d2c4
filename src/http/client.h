// The one HTTP client (libcurl): sends exactly what it is told, follows no redirect, and bounds every answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include "base/secret.h"
#include "http/message.h"
#include "io/task.h"

namespace evp::http {

struct proxy {
  std::string host;
  std::uint16_t port = 0;
  std::string username;
  secret password;
};

struct response;

struct request {
  std::string method = "GET";
  secret url;      ///< http or https; its bytes go out untouched (no normalisation of "..", no re-encoding)
  headers fields;  ///< exactly these, plus Host and Content-Length; no Expect, no default Content-Type or Accept
  std::variant<std::monostate, std::string, file_range> body;  ///< always with Content-Length, never chunked

  secret body_prefix, body_suffix;  ///< sent before and after a file_range, as a part of the body

  std::uint64_t max_response_bytes = 1 << 20;  ///< more than this ends the exchange with too_large
  int response_fd =
      -1;  ///< when set, the body of a 2xx answer is written here (borrowed) instead of into response.body
  /// With response_fd: called on the client's thread with the head of a 2xx answer, before the body is written where
  /// the descriptor then stands. Must not block for long. An error ends the exchange and is its error.
  std::function<result<void>(const response& head)> on_head;

  std::string ca_pem;          ///< trust only this bundle of PEM certificates; empty: the system's
  std::string pinned_address;  ///< connect to this IP instead of resolving the host; the host stays for TLS and Host
  std::optional<proxy> via;

  milliseconds connect_timeout{10'000};
  milliseconds stall_timeout{30'000};  ///< no byte either way for this long ends the exchange
  milliseconds total_timeout{0};       ///< 0: none
  std::uint64_t max_send_rate = 0;     ///< bytes per second; 0: as fast as it goes
  bool hash_body = false;  ///< compute SHA-256 while sending: of the body, without the text around a file_range
  /// Called on the client's executor, at most every 250 ms, with the bytes of the body that have been sent, or with
  /// response_fd received.
  std::function<void(std::uint64_t moved)> on_progress;
};

struct response {
  int status = 0;
  headers fields;
  std::string body;
  std::uint64_t bytes_sent = 0;      ///< of the body
  std::uint64_t bytes_received = 0;  ///< of the body
  std::string sent_sha256;           ///< 64 hexadecimal digits when hash_body was set
};

/// What drivers see: a way to send. Decorators (the endpoint guard) and doubles implement it too.
class transport {
 public:
  virtual ~transport() = default;
  /// Any HTTP status is a response, not an error. Errors: unavailable (no connection, reset, short answer),
  /// deadline_exceeded (a timeout), permission_denied (TLS: chain, name or expiry, with what to do), too_large
  /// (max_response_bytes), data_corrupt (the file shrank while it was sent), invalid_argument (URL), cancelled.
  /// Never names the URL in an error. Cancelling the task ends the exchange.
  virtual io::task<result<response>> send(request r) = 0;
};

struct client_options {
  int connections_per_host = 16;
  int idle_connections = 16;
};

/// Keeps connections and TLS sessions alive between requests, sets TCP_NODELAY. Runs libcurl on a thread of its own;
/// send() may be called from one executor only and resumes there. The destructor ends what is under way (cancelled).
class client final : public transport {
 public:
  explicit client(io::executor ex, client_options options = {});
  ~client() override;
  io::task<result<response>> send(request r) override;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace evp::http
