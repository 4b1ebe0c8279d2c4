// Sockets and threads of the raw test server.
#include "http/test_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace evp::http {

int peer_connection::read_some(char* buffer, std::size_t size) {
  if (tls_ == nullptr || SSL_pending(tls_) == 0) {
    pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&p, 1, 30'000) != 1) return 0;
  }
  return tls_ != nullptr ? SSL_read(tls_, buffer, int(size)) : int(::recv(fd_, buffer, size, 0));
}

std::string peer_connection::read_head() {
  char piece[4096];
  std::size_t end;
  while ((end = ahead_.find("\r\n\r\n")) == std::string::npos) {
    const int n = read_some(piece, sizeof piece);
    if (n <= 0) return std::exchange(ahead_, {});
    ahead_.append(piece, std::size_t(n));
  }
  auto head = ahead_.substr(0, end + 4);
  ahead_.erase(0, end + 4);
  return head;
}

std::string peer_connection::read_bytes(std::size_t count) {
  char piece[65536];
  while (ahead_.size() < count) {
    const int n = read_some(piece, std::min(sizeof piece, count - ahead_.size()));
    if (n <= 0) break;
    ahead_.append(piece, std::size_t(n));
  }
  auto bytes = ahead_.substr(0, count);
  ahead_.erase(0, bytes.size());
  return bytes;
}

std::string peer_connection::read_rest() {
  char piece[65536];
  for (int n; (n = read_some(piece, sizeof piece)) > 0;) ahead_.append(piece, std::size_t(n));
  return std::exchange(ahead_, {});
}

bool peer_connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = tls_ != nullptr ? SSL_write(tls_, bytes.data(), int(bytes.size()))
                                   : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(std::size_t(n));
  }
  return true;
}

void peer_connection::reset() {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

test_peer::test_peer(script s, std::string certificate_pem, std::string key_pem, bool ipv6)
    : script_(std::move(s)), ipv6_(ipv6) {
  if (!certificate_pem.empty()) {
    tls_ = SSL_CTX_new(TLS_server_method());
    BIO* bio = BIO_new_mem_buf(certificate_pem.data(), int(certificate_pem.size()));
    X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key_pem.data(), int(key_pem.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    SSL_CTX_use_certificate(tls_, certificate);
    SSL_CTX_use_PrivateKey(tls_, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  listener_ = ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (ipv6) {
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_addr = in6addr_loopback;
    socklen_t length = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), length) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &length);
    port_ = ntohs(at.sin6_port);
  } else {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), length) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &length);
    port_ = ntohs(at.sin_port);
  }
  ::listen(listener_, 64);
  acceptor_ = std::thread([this] { accept_all(); });
}

test_peer::~test_peer() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (auto& w : workers_) w.join();
  ::close(listener_);
  SSL_CTX_free(tls_);
}

std::string test_peer::url(std::string_view target) const {
  return std::string(tls_ != nullptr ? "https://" : "http://") + (ipv6_ ? "[::1]:" : "127.0.0.1:") +
         std::to_string(port_) + std::string(target);
}

void test_peer::accept_all() {
  for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    workers_.emplace_back([this, fd, number = accepted_++] { serve(fd, number); });
  }
}

void test_peer::serve(int fd, int number) {
  const int on = 1;  // else an answer could still wait behind a TLS ticket when the script closes with a reset
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sigset_t pipe;  // only here: the code under test must protect itself
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  SSL* tls = nullptr;
  bool ready = true;
  if (tls_ != nullptr) {
    tls = SSL_new(tls_);
    SSL_set_fd(tls, fd);
    ready = SSL_accept(tls) == 1;
  }
  if (ready) {
    peer_connection connection(fd, tls, number);
    script_(connection);
  }
  SSL_free(tls);
  const std::lock_guard lock(mutex_);
  std::erase(open_, fd);
  ::close(fd);
}

}  // namespace evp::http
