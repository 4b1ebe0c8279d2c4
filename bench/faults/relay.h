// What stands between the device and a server: passes bytes on, and where it speaks HTTP, spoils some exchanges.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "io/files.h"

namespace evp::bench {

/// What can happen to an exchange with a storage.
enum class harm { none, refused_503, refused_429, request_cut, answer_withheld, answer_cut, slow };
inline constexpr std::array harm_names = {"passed",          "answered 503",     "answered 429", "request cut short",
                                          "answer withheld", "answer cut short", "stalled 2 s"};

/// The dice of the storage's harms, and what they have shown. Any thread.
class weather {
 public:
  explicit weather(std::uint64_t seed) : random_(seed) {}
  /// How likely each kind of harm is, 0 to 1 together.
  void set(double harms) { harms_ = harms; }
  harm roll();
  /// A number from 0 to max.
  std::uint64_t pick(std::uint64_t max);
  /// The storage itself has answered 200 to the PUT of this path.
  void stored(const std::string& path);
  std::array<unsigned, harm_names.size()> counts() const;
  std::map<std::string, unsigned> puts() const;

 private:
  mutable std::mutex lock_;
  std::mt19937_64 random_;
  std::atomic<double> harms_ = 0;
  std::array<unsigned, harm_names.size()> counts_{};
  std::map<std::string, unsigned> puts_;
};

/// Whether somebody listens on that port of 127.0.0.1.
bool listens(std::uint16_t port);

/// A listener with a thread for each connection, on a free port of an address, until it is destroyed.
class relay {
 public:
  /// `spoil`: null: any protocol, byte for byte. Else HTTP, one exchange a connection, Host and signature untouched.
  relay(const std::string& address, weather* spoil);
  ~relay();
  relay(const relay&) = delete;
  std::uint16_t port() const noexcept { return port_; }
  std::string authority() const { return address_ + ":" + std::to_string(port_); }
  /// Where new connections go: a port of 127.0.0.1. Until then, and while nobody listens there, they are closed.
  void aim(std::uint16_t port) { target_ = port; }
  /// While cut, nothing passes and nobody gets in.
  void cut(bool is_cut) { cut_ = is_cut; }

 private:
  struct limits {
    std::uint64_t up = ~0ull, down = ~0ull;  ///< bytes that pass; then `up` ends the connection, `down` swallows
  };
  void accept_all();
  void serve(io::unique_fd client);
  void exchange(int client);
  /// The first bytes that came down.
  std::string pump(int client, int server, limits l);
  bool is_over() const { return stopping_ || cut_; }

  std::string address_;
  weather* spoil_;
  io::unique_fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<std::uint16_t> target_ = 0;
  std::atomic<bool> cut_ = false, stopping_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

}  // namespace evp::bench
