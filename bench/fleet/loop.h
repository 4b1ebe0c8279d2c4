// Many TCP connections to this machine on one thread: epoll, bounded buffers, an error ends the program.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/files.h"

namespace evp::bench {

class connection;

/// Confined to its thread, as all that uses it.
class loop {
 public:
  loop();
  /// Handles what has happened, or happens within the time.
  void run_once(std::chrono::nanoseconds wait);
  /// Runs until it holds, or until the time is over: false.
  bool run_until(const std::function<bool()>& holds, std::chrono::milliseconds limit);
  /// Calls it whenever there is something to read from the file, which the caller keeps open.
  void watch(int fd, std::function<void()> readable);

 private:
  friend class connection;
  io::unique_fd epoll_;
  std::unordered_map<int, std::function<void()>> watched_;
  std::string bytes_;  ///< for reading; shared by all connections
};

/// One connection to 127.0.0.1, from 127.0.0.1 or one of the addresses after it. Derive, and say what comes of the
/// bytes.
class connection {
 public:
  static constexpr std::size_t max_unread = 512 * 1024;        ///< received, and no whole message yet
  static constexpr std::size_t max_unsent = 64 * 1024 * 1024;  ///< queued for the socket

  explicit connection(loop& l) : loop_(l) {}
  virtual ~connection() = default;
  connection(const connection&) = delete;
  /// Begins to connect; on_open follows. An address has some 28,000 ports: `from` is the number of the address after
  /// 127.0.0.1.
  void open(std::uint16_t port, std::uint32_t from = 0);
  void close();
  bool is_open() const noexcept { return state_ == state::open; }
  /// To be sent with the next flush.
  void queue(std::string_view bytes) { out_ += bytes; }
  /// Writes what it can; the rest follows by itself.
  void flush();
  void send(std::string_view bytes) {
    queue(bytes);
    flush();
  }

 protected:
  virtual void on_open() = 0;
  /// All that has come and was not taken before. Returns how many bytes it has taken.
  virtual std::size_t on_bytes(std::string_view bytes) = 0;
  /// Of whom an error message speaks.
  virtual std::string name() const = 0;

 private:
  friend class loop;
  enum class state { closed, connecting, open };
  void ready(std::uint32_t events);
  void receive();
  void want(bool writable);
  [[noreturn]] void broken(const char* why) const;

  loop& loop_;
  io::unique_fd fd_;
  state state_ = state::closed;
  bool wants_writable_ = false;
  std::string in_, out_;
};

}  // namespace evp::bench
