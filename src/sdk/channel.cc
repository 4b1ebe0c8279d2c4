// Framing: {u32 size, u32 zero, u64 xid} in host order, then a FlatBuffer. See docs/protocol.md.
#include "sdk/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace evp::sdk {
namespace {

using std::chrono::steady_clock;

int remaining_ms(deadline until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now()).count();
  return int(std::clamp<long long>(left, 0, 60'000));
}

}  // namespace

channel::~channel() {
  if (fd_ >= 0) ::close(fd_);
}

EVP_RESULT channel::broken() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  return EVP_SHOULDEXIT;
}

EVP_RESULT channel::wait(short events, deadline until) {
  for (;;) {
    pollfd p{fd_, events, 0};
    const int n = ::poll(&p, 1, remaining_ms(until));
    if (n > 0) return EVP_OK;
    if (n < 0 && errno != EINTR) return broken();
    if (steady_clock::now() >= until) return EVP_TIMEDOUT;
  }
}

EVP_RESULT channel::send(std::string_view request, std::uint64_t& xid, deadline until) {
  if (request.size() > max_message_bytes) return EVP_TOOBIG;
  if (fd_ < 0) return EVP_SHOULDEXIT;
  xid = ++last_xid_;
  std::string frame(16, '\0');
  const auto size = std::uint32_t(request.size());
  std::memcpy(frame.data(), &size, 4);
  std::memcpy(frame.data() + 8, &xid, 8);
  frame += request;
  for (std::string_view left = frame; !left.empty();) {
    const auto n = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      left.remove_prefix(std::size_t(n));
    } else if (errno == EAGAIN) {
      // Half a frame cannot be taken back: a peer that takes nothing until the deadline ends the connection.
      if (wait(POLLOUT, until) != EVP_OK) return broken();
    } else if (errno != EINTR) {
      return broken();
    }
  }
  return EVP_OK;
}

/// Reads until incoming_ is a whole frame.
EVP_RESULT channel::read_until(deadline until) {
  for (;;) {
    std::uint8_t* to = header_ + header_bytes_;
    std::size_t want = sizeof header_ - header_bytes_;
    if (want == 0) {
      std::uint32_t size = 0, zero = 0;
      std::memcpy(&size, header_, 4);
      std::memcpy(&zero, header_ + 4, 4);
      if (size == 0 || size > max_message_bytes || zero != 0) return broken(), EVP_AGENT_PROTOCOL_ERROR;
      if (incoming_.words.empty()) incoming_.words.resize((size + 7) / 8), incoming_.size = size;
      if (body_bytes_ == size) return EVP_OK;
      to = reinterpret_cast<std::uint8_t*>(incoming_.words.data()) + body_bytes_;
      want = size - body_bytes_;
    }
    const auto n = ::recv(fd_, to, want, MSG_DONTWAIT);
    if (n == 0) return broken();
    if (n > 0) {
      (header_bytes_ < sizeof header_ ? header_bytes_ : body_bytes_) += std::size_t(n);
    } else if (errno == EAGAIN) {
      if (const auto r = wait(POLLIN, until); r != EVP_OK) return r;
    } else if (errno != EINTR) {
      return broken();
    }
  }
}

EVP_RESULT channel::receive(deadline until, std::uint64_t& xid, message& out) {
  if (fd_ < 0) return EVP_SHOULDEXIT;
  if (const auto r = read_until(until); r != EVP_OK) return r;
  std::memcpy(&xid, header_ + 8, 8);
  out = std::move(incoming_);
  incoming_ = {};
  header_bytes_ = body_bytes_ = 0;
  return EVP_OK;
}

EVP_RESULT channel::call(std::string_view request, deadline until, message& answer) {
  std::uint64_t mine = 0;
  if (const auto r = send(request, mine, until); r != EVP_OK) return r;
  for (;;) {
    std::uint64_t xid = 0;
    message m;
    if (const auto r = receive(until, xid, m); r != EVP_OK) return r;
    if (xid == mine) return answer = std::move(m), EVP_OK;
    if (xid == poll_xid_ && !poll_answer_) poll_answer_ = std::move(m);
    // Anything else is the late answer to a call that has timed out.
  }
}

EVP_RESULT channel::start_poll(std::string_view request) {
  return send(request, poll_xid_, steady_clock::now() + std::chrono::seconds(30));
}

EVP_RESULT channel::finish_poll(deadline until, message& answer) {
  while (!poll_answer_) {
    std::uint64_t xid = 0;
    message m;
    if (const auto r = receive(until, xid, m); r != EVP_OK) return r;
    if (xid == poll_xid_) poll_answer_ = std::move(m);
  }
  answer = std::move(*poll_answer_);
  poll_answer_.reset();
  poll_xid_ = 0;
  return EVP_OK;
}

}  // namespace evp::sdk
