// Many TCP connections to this machine on one thread.
#include "loop.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "programs.h"

namespace evp::bench {

namespace {
constexpr std::size_t read_bytes = 256 * 1024;
constexpr int events_per_pass = 512;

void control(int epoll, int operation, int fd, std::uint32_t events, void* data) {
  epoll_event e{};
  e.events = events;
  e.data.ptr = data;
  if (::epoll_ctl(epoll, operation, fd, &e) != 0) give_up(std::string("epoll_ctl: ") + std::strerror(errno));
}
}  // namespace

loop::loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), bytes_(read_bytes, '\0') {
  if (!epoll_) give_up(std::string("epoll_create1: ") + std::strerror(errno));
}

void loop::watch(int fd, std::function<void()> readable) {
  auto& kept = watched_[fd];
  kept = std::move(readable);
  control(epoll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN, &kept);
}

void loop::run_once(std::chrono::nanoseconds wait) {
  std::array<epoll_event, events_per_pass> events;
  wait = std::max(wait, std::chrono::nanoseconds(0));
  const timespec limit{time_t(wait.count() / 1'000'000'000), long(wait.count() % 1'000'000'000)};
  const int n = ::epoll_pwait2(epoll_.get(), events.data(), events_per_pass, &limit, nullptr);
  if (n < 0 && errno != EINTR) give_up(std::string("epoll_pwait2: ") + std::strerror(errno));
  for (int i = 0; i < n; ++i) {
    const auto& e = events[std::size_t(i)];
    const auto watched =
        std::find_if(watched_.begin(), watched_.end(), [&](auto& w) { return &w.second == e.data.ptr; });
    if (watched != watched_.end())
      watched->second();
    else
      static_cast<connection*>(e.data.ptr)->ready(e.events);
  }
}

bool loop::run_until(const std::function<bool()>& holds, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return false;
    run_once(std::min<std::chrono::nanoseconds>(end - now, std::chrono::milliseconds(100)));
  }
  return true;
}

void connection::broken(const char* why) const { give_up(name() + ": " + why); }

void connection::open(std::uint16_t port, std::uint32_t from) {
  fd_ = io::unique_fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) broken(std::strerror(errno));
  const int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (from > 0) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + from);
    ::setsockopt(fd_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0) broken(std::strerror(errno));
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
    broken(std::strerror(errno));
  state_ = state::connecting;
  wants_writable_ = true;
  control(loop_.epoll_.get(), EPOLL_CTL_ADD, fd_.get(), EPOLLIN | EPOLLOUT, this);
}

void connection::close() {
  fd_.reset();
  state_ = state::closed;
  in_.clear();
  out_.clear();
}

void connection::want(bool writable) {
  if (wants_writable_ == writable) return;
  wants_writable_ = writable;
  control(loop_.epoll_.get(), EPOLL_CTL_MOD, fd_.get(), writable ? EPOLLIN | EPOLLOUT : EPOLLIN, this);
}

void connection::ready(std::uint32_t events) {
  if (state_ == state::connecting) {
    int failure = 0;
    socklen_t size = sizeof failure;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &failure, &size);
    if (failure != 0) broken(std::strerror(failure));
    state_ = state::open;
    on_open();
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive();
  if (state_ == state::open && (events & EPOLLOUT)) flush();
}

void connection::receive() {
  auto& buffer = loop_.bytes_;
  const auto n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) broken(std::strerror(errno));
  if (n == 0) broken("the other end has closed the connection");
  const std::string_view fresh(buffer.data(), std::size_t(n));
  if (in_.empty()) {
    in_.assign(fresh.substr(on_bytes(fresh)));
  } else {
    in_ += fresh;
    in_.erase(0, on_bytes(in_));
  }
  if (in_.size() > max_unread) broken("it sends a message that is too long");
}

void connection::flush() {
  if (state_ != state::open) return;
  std::size_t done = 0;
  while (done < out_.size()) {
    const auto n = ::send(fd_.get(), out_.data() + done, out_.size() - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) broken(std::strerror(errno));
    done += std::size_t(n);
  }
  out_.erase(0, done);
  if (out_.size() > max_unsent) broken("it does not read what it is sent");
  want(!out_.empty());
}

}  // namespace evp::bench
