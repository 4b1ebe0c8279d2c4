// Reads and parses what a peer left in the socket before it hung up.
#include "http/early_answer.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

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

std::string read_rest(int fd, SSL* tls, std::size_t max_bytes) {
  // libcurl's own BIO works only inside libcurl's calls. The connection is dying: it can have a plain one.
  if (tls != nullptr) {
    BIO* bio = BIO_new_socket(fd, BIO_NOCLOSE);
    if (bio == nullptr) return {};
    SSL_set0_rbio(tls, bio);
  }
  std::string all;
  char piece[4096];
  while (all.size() < max_bytes) {
    const auto n =
        tls != nullptr ? SSL_read(tls, piece, sizeof piece) : int(::recv(fd, piece, sizeof piece, MSG_DONTWAIT));
    if (n <= 0) break;
    all.append(piece, std::size_t(n));
  }
  ERR_clear_error();
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

std::optional<response> read_early_answer(CURL* easy, std::size_t max_head_bytes, std::uint64_t max_body_bytes) {
  curl_socket_t fd = CURL_SOCKET_BAD;
  if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD) return {};
  if (!has_hung_up(fd)) return {};
  const auto body_bytes = std::min<std::uint64_t>(max_body_bytes, 64 * 1024);
  return parse_answer(read_rest(fd, tls_of(easy), max_head_bytes + body_bytes), body_bytes);
}

}  // namespace evp::http
