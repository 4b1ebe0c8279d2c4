// SHA-256 of a body while it is being sent, beside the sending where that pays.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/crypto.h"

namespace evp::http {

/// Hashes what passes by. A large body is hashed by a thread of its own, so that it takes the longer of sending and
/// hashing and not their sum; at most 1 MiB of it is copied and waits. One thread may call it at a time.
class body_hash {
 public:
  /// `length`: of the whole body, in bytes.
  explicit body_hash(std::uint64_t length);
  /// Gives up what has not been hashed; waits for the block under way.
  ~body_hash();
  body_hash(const body_hash&) = delete;
  body_hash& operator=(const body_hash&) = delete;

  /// Waits while 1 MiB is ahead of the hash.
  void update(std::string_view bytes);
  /// 32 bytes, of all that was given. Once, at the end; waits for the rest to be hashed.
  std::string finish();

 private:
  void run();
  void hand_over();

  sha256_stream hash_;  ///< the thread's until it has ended
  std::string filling_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::string> full_, spare_;
  bool is_all_ = false, is_given_up_ = false;
  std::thread thread_;
};

}  // namespace evp::http
