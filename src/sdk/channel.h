// The module's end of the socket: frames with ids, one request at a time, one long poll beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "evp/sdk_types.h"

namespace evp::sdk {

using deadline = std::chrono::steady_clock::time_point;

/// Frames carry at most this many bytes behind their header, either way (docs/protocol.md).
inline constexpr std::size_t max_message_bytes = 131072;

/// A message as it came: 8-byte aligned, as FlatBuffers needs it.
struct message {
  std::vector<std::uint64_t> words;
  std::size_t size = 0;
  const std::uint8_t* data() const noexcept { return reinterpret_cast<const std::uint8_t*>(words.data()); }
};

/// Owned by one thread. After any failure of the connection it stays broken: every call answers EVP_SHOULDEXIT.
class channel {
 public:
  /// Takes ownership of the connected socket.
  explicit channel(int fd) : fd_(fd) {}
  ~channel();
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// Sends a request and waits for its answer. An answer to the long poll that comes in between is kept.
  /// Errors: EVP_TOOBIG (nothing sent), EVP_TIMEDOUT, EVP_SHOULDEXIT, EVP_AGENT_PROTOCOL_ERROR.
  EVP_RESULT call(std::string_view request, deadline until, message& answer);

  /// True while a long poll has been sent and its answer has not been taken.
  bool polling() const noexcept { return poll_xid_ != 0; }
  EVP_RESULT start_poll(std::string_view request);
  /// The answer to the long poll. Errors: EVP_TIMEDOUT (it stays outstanding), as call().
  EVP_RESULT finish_poll(deadline until, message& answer);

 private:
  EVP_RESULT send(std::string_view request, std::uint64_t& xid, deadline until);
  EVP_RESULT receive(deadline until, std::uint64_t& xid, message& out);
  EVP_RESULT read_until(deadline until);
  EVP_RESULT wait(short events, deadline until);
  EVP_RESULT broken();

  int fd_;
  std::uint64_t last_xid_ = 0;
  std::uint64_t poll_xid_ = 0;
  std::optional<message> poll_answer_;
  // The frame that is coming in; it may take several calls until it is complete.
  std::uint8_t header_[16] = {};
  std::size_t header_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  message incoming_;
};

}  // namespace evp::sdk
