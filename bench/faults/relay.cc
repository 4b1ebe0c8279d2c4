#include "relay.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include "programs.h"

namespace evp::bench {
namespace {

constexpr int tick_ms = 100;     // how soon a cut and the end are noticed
constexpr int idle_ticks = 600;  // an HTTP connection without a byte ends after a minute
constexpr std::size_t head_max_bytes = 16 << 10;
constexpr auto stall = std::chrono::seconds(2);

sockaddr_in address_of(const std::string& ip, std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  if (::inet_pton(AF_INET, ip.c_str(), &a.sin_addr) != 1) give_up(ip + " is no IPv4 address");
  return a;
}

void limit_blocking(int fd) {
  const timeval wait{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

/// Nothing where nobody listens.
io::unique_fd connected_to(std::uint16_t port) {
  io::unique_fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto to = address_of("127.0.0.1", port);
  if (::connect(server.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return {};
  limit_blocking(server.get());
  return server;
}

bool send_all(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const auto n = ::send(fd, bytes, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes += n;
    size -= std::size_t(n);
  }
  return true;
}

/// Answers without having read the body, then reads what comes, for as long as a server would.
void refuse(int client, const char* status) {
  const std::string answer =
      std::string("HTTP/1.1 ") + status + "\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  send_all(client, answer.data(), answer.size());
  ::shutdown(client, SHUT_WR);
  char ignored[4096];
  for (int i = 0; i < 256; ++i) {
    pollfd waiting{client, POLLIN, 0};
    if (::poll(&waiting, 1, tick_ms) <= 0 || ::recv(client, ignored, sizeof ignored, 0) <= 0) return;
  }
}

/// Of the PUT of a whole object; empty for any other request.
std::string put_path(const std::string& head) {
  const auto line = head.substr(0, head.find("\r\n"));
  if (!line.starts_with("PUT ") || line.find("partNumber=") != line.npos) return {};
  return line.substr(4, line.find_first_of(" ?", 4) - 4);
}

}  // namespace

harm weather::roll() {
  const std::lock_guard hold(lock_);
  const bool hit = std::uniform_real_distribution<>(0, 1)(random_) < harms_;
  const auto which = hit ? std::uniform_int_distribution<std::size_t>(1, harm_names.size() - 1)(random_) : 0;
  ++counts_[which];
  return harm(which);
}
std::uint64_t weather::pick(std::uint64_t max) {
  const std::lock_guard hold(lock_);
  return std::uniform_int_distribution<std::uint64_t>(0, max)(random_);
}
void weather::stored(const std::string& path) {
  const std::lock_guard hold(lock_);
  ++puts_[path];
}
std::array<unsigned, harm_names.size()> weather::counts() const {
  const std::lock_guard hold(lock_);
  return counts_;
}
std::map<std::string, unsigned> weather::puts() const {
  const std::lock_guard hold(lock_);
  return puts_;
}

bool listens(std::uint16_t port) { return bool(connected_to(port)); }

relay::relay(const std::string& address, weather* spoil)
    : address_(address), spoil_(spoil), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  auto at = address_of(address, 0);
  socklen_t size = sizeof at;
  auto* raw = reinterpret_cast<sockaddr*>(&at);
  if (::bind(listener_.get(), raw, size) != 0 || ::listen(listener_.get(), 128) != 0 ||
      ::getsockname(listener_.get(), raw, &size) != 0)
    give_up("can't listen on " + address);
  port_ = ntohs(at.sin_port);
  thread_ = std::thread([this] { accept_all(); });
}

relay::~relay() {
  stopping_ = true;
  thread_.join();
  while (connections_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

void relay::accept_all() {
  while (!stopping_) {
    pollfd waiting{listener_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, tick_ms) <= 0) continue;
    io::unique_fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client || is_over()) continue;
    ++connections_;
    std::thread([this, fd = std::move(client)]() mutable {
      serve(std::move(fd));
      --connections_;
    }).detach();
  }
}

void relay::serve(io::unique_fd client) {
  limit_blocking(client.get());
  if (spoil_) return exchange(client.get());
  const auto server = connected_to(target_);
  if (server) pump(client.get(), server.get(), {});
}

void relay::exchange(int client) {
  std::string head;
  auto end = head.npos;
  while (end == head.npos) {
    char bytes[4096];
    const auto n = head.size() < head_max_bytes ? ::recv(client, bytes, sizeof bytes, 0) : 0;
    if (n <= 0) return;
    head.append(bytes, std::size_t(n));
    end = head.find("\r\n\r\n");
  }
  const auto what = spoil_->roll();
  if (what == harm::refused_503) return refuse(client, "503 Service Unavailable");
  if (what == harm::refused_429) return refuse(client, "429 Too Many Requests");
  if (what == harm::slow) std::this_thread::sleep_for(stall);
  limits l;
  if (what == harm::request_cut) l.up = spoil_->pick(20'000);
  if (what == harm::answer_withheld) l.down = 0;
  if (what == harm::answer_cut) l.down = 1 + spoil_->pick(60);

  const auto server = connected_to(target_);
  if (!server) return;
  const auto path = put_path(head);
  const auto body = head.size() - end - 4;
  const auto kept = std::size_t(std::min<std::uint64_t>(body, l.up));
  head.resize(end + 4 + kept);
  head.insert(end, "\r\nConnection: close");  // not a field that is signed
  if (!send_all(server.get(), head.data(), head.size()) || kept < body) return;
  l.up -= std::min<std::uint64_t>(l.up, kept);
  const auto answer = pump(client, server.get(), l);
  if (!path.empty() && answer.starts_with("HTTP/1.1 200")) spoil_->stored(path);
}

std::string relay::pump(int client, int server, limits l) {
  std::string first;
  std::array<char, 65536> bytes;
  for (int idle = 0; (idle < idle_ticks || !spoil_) && !is_over(); ++idle) {
    pollfd both[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (::poll(both, 2, tick_ms) <= 0) continue;
    idle = 0;
    if (both[0].revents != 0) {
      const auto n = ::recv(client, bytes.data(), bytes.size(), 0);
      if (n <= 0) break;
      const auto passing = std::size_t(std::min<std::uint64_t>(std::uint64_t(n), l.up));
      if (!send_all(server, bytes.data(), passing) || passing < std::size_t(n)) break;
      l.up -= passing;
    }
    if (both[1].revents != 0) {
      const auto n = ::recv(server, bytes.data(), bytes.size(), 0);
      if (n <= 0) break;
      if (first.size() < 64) first.append(bytes.data(), std::min<std::size_t>(std::size_t(n), 64));
      const auto passing = std::size_t(std::min<std::uint64_t>(std::uint64_t(n), l.down));
      l.down -= passing;
      if (!send_all(client, bytes.data(), passing)) break;
    }
  }
  return first;
}

}  // namespace evp::bench
