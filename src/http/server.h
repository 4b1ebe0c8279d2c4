// The one HTTP server (Boost.Beast): a routing table, bounded bodies, streamed uploads and downloads, TLS.
#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "base/secret.h"
#include "http/connections.h"
#include "http/message.h"
#include "io/files.h"
#include "io/task.h"

namespace evp::http {

/// Reads the body of a streamed request piece by piece.
class body_reader {
 public:
  virtual ~body_reader() = default;
  /// Bytes read into the buffer; 0 at the end. Errors: too_large (route's max_body), unavailable (the peer went away).
  virtual io::task<result<std::size_t>> read(std::span<char> buffer) = 0;
};

struct server_request {
  std::string method;
  std::string target;                                          ///< as received: "/v1/devices/a%20b?x=1"
  std::string path;                                            ///< the target's path as received, still percent-encoded
  std::string query;                                           ///< the part after '?', still encoded, or empty
  std::map<std::string, std::string, std::less<>> parameters;  ///< {name} parts of the route, percent-decoded
  headers fields;
  std::string body;               ///< whole, unless the route streams
  body_reader* stream = nullptr;  ///< only where the route streams; valid until the handler ends
  std::optional<std::uint64_t> content_length;
  std::string remote_address;
  std::string
      client_certificate;  ///< DER, of which the client has proven to have the key; nobody has looked at the rest
  std::any caller;         ///< what the gate has found out about who asks
};

struct file_body {
  std::shared_ptr<io::unique_fd> fd;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// A body of unknown length, which may take hours. It goes out chunked; the connection ends with it.
struct stream_body {
  /// The next piece, or nothing at the end. Called again only when the piece before it is with the system: so a client
  /// that reads slowly holds up nobody but itself, and one that stops reading is ended after stall_timeout. Cancelled
  /// when the client goes away: it must end then.
  std::function<io::task<std::optional<std::string>>()> next;
};

struct server_response {
  int status = 200;
  headers fields;
  std::variant<std::string, file_body, stream_body> body;  ///< for HEAD the length is sent, the bytes are not
};

using handler = std::function<io::task<server_response>(server_request&)>;

struct route_options {
  std::uint64_t max_body = 1 << 20;  ///< a longer body is answered 413
  bool streams = false;              ///< the handler reads the body through server_request::stream
};

/// A table of routes: method and pattern ("/v1/devices/{id}", a last "{name...}" takes the rest, slashes included).
class router {
 public:
  void add(std::string method, std::string pattern, handler h, route_options options = {});
  /// Wraps every handler: authentication, metrics, error form. Runs before the body is read when it only looks at the
  /// head: it answers at once, or nothing to let the request pass.
  using gate = std::function<std::optional<server_response>(server_request& head, const std::string& pattern)>;
  void set_gate(gate g);
  /// Answers for errors of the server itself (404, 405, 413, 431, 400): turns an error and a status into an answer.
  using error_writer = std::function<server_response(int status, const error& e)>;
  void set_error_writer(error_writer w);
  /// Called after each answer: for metrics and access logs. The pattern is empty where no route matched.
  using observer =
      std::function<void(const server_request&, const std::string& pattern, int status, milliseconds took)>;
  void set_observer(observer o);
  /// Method and pattern of every route, in the order in which they were added.
  std::vector<std::pair<std::string, std::string>> table() const;

 private:
  friend class server;
  struct route {
    std::string method, pattern;
    handler run;
    route_options options;
  };
  struct lookup {
    const route* found = nullptr;
    std::map<std::string, std::string, std::less<>> parameters;
    std::string allowed;     ///< methods of the routes whose path matches, for Allow; empty: no such path
    bool malformed = false;  ///< a percent sign without two hexadecimal digits, or a control character
  };
  /// The most specific route: at the first segment that differs a literal beats {name}, and that beats {rest...}.
  /// HEAD falls back to GET.
  lookup find(std::string_view method, std::string_view path) const;
  std::vector<route> routes_;
  gate gate_;
  error_writer error_writer_;
  observer observer_;
};

struct tls_files {
  io::fs::path certificate_chain;  ///< PEM
  io::fs::path private_key;        ///< PEM
  /// Clients are asked, and may decline, for a certificate of an issuer of this common name; empty: nobody is asked.
  std::string client_issuer = {};
};

struct server_options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: the system chooses
  std::optional<tls_files> tls;
  std::size_t max_connections = 4096;  ///< then those that wait for their clients give way: connections::displace
  std::size_t max_header_bytes = 16384;
  milliseconds idle_timeout{60'000};  ///< between requests
  milliseconds head_timeout{20'000};  ///< for a head, from its first byte; 408 then
  milliseconds stall_timeout{
      30'000};  ///< no byte of a body for this long, or less than 500 bytes a second beyond it: 408
};

class server {
 public:
  server(io::executor ex, router routes, server_options options);
  ~server();
  /// Binds and begins to serve. Errors: unavailable (port in use, with what to do), invalid_argument (address, TLS
  /// files).
  result<void> start();
  std::uint16_t port() const noexcept;
  /// Of its executor.
  connection_counts count() const;
  /// Stops accepting, lets running exchanges end for at most `grace`, closes the rest.
  io::task<void> stop(milliseconds grace);

 private:
  struct state;
  std::shared_ptr<state> state_;
};

/// True for "127.0.0.0/8", "::1" and "localhost": what may listen without TLS.
bool is_loopback_address(std::string_view address);

}  // namespace evp::http
