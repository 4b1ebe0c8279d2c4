// Reads and parses what a peer left in the socket before it hung up.
#include "http/early_answer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

namespace evp::http {
namespace {

bool has_hung_up(int fd) {
  pollfd p{.fd = fd, .events = POLLIN | POLLRDHUP, .revents = 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP | POLLRDHUP)) != 0;
}

SSL* tls_of(CURL* easy) {
  curl_tlssessioninfo* info = nullptr;
  if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == nullptr) return nullptr;
  return info->backend == CURLSSLBACKEND_OPENSSL ? static_cast<SSL*>(info->internals) : nullptr;
}

/// While it lives, the TLS connection reads from the bare socket and writes nowhere. libcurl's own BIO works only
/// inside libcurl's calls, and SSL_read may write (an alert, what is left of a record).
class detour {
 public:
  detour(SSL* tls, int fd) : tls_(tls), read_(SSL_get_rbio(tls)), write_(SSL_get_wbio(tls)) {
    BIO_up_ref(read_);
    BIO_up_ref(write_);
    SSL_set0_rbio(tls_, BIO_new_socket(fd, BIO_NOCLOSE));
    SSL_set0_wbio(tls_, BIO_new(BIO_s_null()));
  }
  ~detour() {
    SSL_set0_rbio(tls_, read_);
    SSL_set0_wbio(tls_, write_);
    ERR_clear_error();
  }
  detour(const detour&) = delete;
  detour& operator=(const detour&) = delete;

 private:
  SSL* tls_;
  BIO* read_;
  BIO* write_;
};

std::string read_rest(int fd, SSL* tls, std::size_t max_bytes) {
  std::string all;
  char piece[4096];
  if (::recv(fd, piece, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) return all;
  std::optional<detour> around;
  if (tls != nullptr) around.emplace(tls, fd);
  while (all.size() < max_bytes) {
    const auto n =
        tls != nullptr ? SSL_read(tls, piece, sizeof piece) : int(::recv(fd, piece, sizeof piece, MSG_DONTWAIT));
    if (n <= 0) break;
    all.append(piece, std::size_t(n));
  }
  return all;
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::optional<int> status_of(std::string_view line) {
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ') return {};
  int status = 0;
  const auto [end, ec] = std::from_chars(line.data() + 9, line.data() + 12, status);
  if (ec != std::errc() || end != line.data() + 12 || status < 100) return {};
  return status;
}

}  // namespace

std::optional<response> parse_answer(std::string_view bytes, std::uint64_t max_body_bytes) {
  while (true) {
    const auto head_end = bytes.find("\r\n\r\n");
    if (head_end == bytes.npos) return {};
    auto head = bytes.substr(0, head_end + 2);
    bytes.remove_prefix(head_end + 4);

    response r;
    for (bool first = true; !head.empty(); first = false) {
      const auto line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(line.size() + 2);
      if (first) {
        const auto status = status_of(line);
        if (!status) return {};
        r.status = *status;
        continue;
      }
      const auto colon = line.find(':');
      if (colon == line.npos) return {};
      r.fields.push_back({std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1)))});
    }
    if (r.status < 200) continue;

    // The body is a courtesy: a chunked one is left out rather than shown with its framing.
    if (find(r.fields, "Transfer-Encoding").empty()) {
      std::uint64_t length = bytes.size();
      if (const auto told = find(r.fields, "Content-Length"); !told.empty())
        std::from_chars(told.data(), told.data() + told.size(), length);
      r.body = bytes.substr(0, std::min({length, max_body_bytes, std::uint64_t(bytes.size())}));
      r.bytes_received = r.body.size();
    }
    return r;
  }
}

early_answer read_early_answer(int fd, CURL* easy, std::size_t max_head_bytes, std::uint64_t max_body_bytes) {
  early_answer out;
  if (!has_hung_up(fd)) return out;
  const auto body_bytes = std::min<std::uint64_t>(max_body_bytes, 64 * 1024);
  const auto rest = read_rest(fd, tls_of(easy), max_head_bytes + body_bytes);
  out.consumed = !rest.empty();
  out.refusal = parse_answer(rest, body_bytes);
  if (out.refusal && out.refusal->status < 300) out.refusal.reset();
  return out;
}

void socket_registry::watch(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &socket_registry::on_open);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &socket_registry::on_close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
}

curl_socket_t socket_registry::on_open(void* self, curlsocktype, curl_sockaddr* address) {
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  static_cast<socket_registry*>(self)->open_.insert(fd);
  return fd;
}

int socket_registry::on_close(void* self, curl_socket_t fd) {
  static_cast<socket_registry*>(self)->open_.erase(fd);
  return ::close(fd);
}

int socket_registry::find(const char* local_ip, int local_port) const {
  for (const int fd : open_) {
    sockaddr_storage at{};
    socklen_t length = sizeof at;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length) != 0) continue;
    const bool v6 = at.ss_family == AF_INET6;
    const auto* v6_at = reinterpret_cast<const sockaddr_in6*>(&at);
    const auto* v4_at = reinterpret_cast<const sockaddr_in*>(&at);
    if (ntohs(v6 ? v6_at->sin6_port : v4_at->sin_port) != local_port) continue;
    char text[INET6_ADDRSTRLEN] = {};
    inet_ntop(at.ss_family, v6 ? static_cast<const void*>(&v6_at->sin6_addr) : &v4_at->sin_addr, text, sizeof text);
    if (std::string_view(text) == local_ip) return fd;
  }
  return -1;
}

}  // namespace evp::http
