// A raw TCP or TLS server for tests: each connection runs a script of the test's own, so it can answer wrongly.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace evp::http {

/// One accepted connection, as the script sees it. Every read ends after 30 s without a byte.
class peer_connection {
 public:
  peer_connection(int fd, SSL* tls, int number) : number(number), fd_(fd), tls_(tls) {}
  const int number;  ///< 0 for the first connection

  /// Up to and including the empty line after the head; shorter if the client hung up.
  std::string read_head();
  std::string read_bytes(std::size_t count);
  /// What came until the client hung up.
  std::string read_rest();
  bool write(std::string_view bytes);
  /// Closes with a reset, as a crashed server's kernel does.
  void reset();
  /// Whether the client resumed a TLS session.
  bool resumed() const { return SSL_session_reused(tls_) == 1; }
  /// Waits until the client hangs up.
  void wait_for_close() { read_rest(); }

 private:
  int read_some(char* buffer, std::size_t size);
  int fd_;
  SSL* tls_;
  std::string ahead_;
};

class test_peer {
 public:
  using script = std::function<void(peer_connection&)>;
  explicit test_peer(script s, std::string certificate_pem = {}, std::string key_pem = {}, bool ipv6 = false);
  ~test_peer();  ///< hangs up on everyone and joins
  std::uint16_t port() const noexcept { return port_; }
  std::string url(std::string_view target = "/") const;
  int connections() const noexcept { return accepted_; }

 private:
  void accept_all();
  void serve(int fd, int number);

  script script_;
  SSL_CTX* tls_ = nullptr;
  bool ipv6_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> accepted_{0};
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

}  // namespace evp::http
