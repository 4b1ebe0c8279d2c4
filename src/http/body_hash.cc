#include "http/body_hash.h"

#include <pthread.h>

#include <system_error>
#include <utility>

namespace evp::http {
namespace {

/// Smaller ones are hashed before a thread has begun.
constexpr std::uint64_t large_bytes = 4 << 20;
constexpr std::size_t block_bytes = 256 * 1024, blocks = 4;

}  // namespace

body_hash::body_hash(std::uint64_t length) {
  if (length < large_bytes) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return;  // no thread to be had: hashed as it is sent
  }
  pthread_setname_np(thread_.native_handle(), "evp-hash");
}

body_hash::~body_hash() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    is_given_up_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void body_hash::update(std::string_view bytes) {
  if (!thread_.joinable()) return hash_.update(bytes);
  while (!bytes.empty()) {
    filling_.reserve(block_bytes);
    const auto some = bytes.substr(0, block_bytes - filling_.size());
    filling_ += some;
    bytes.remove_prefix(some.size());
    if (filling_.size() == block_bytes) hand_over();
  }
}

/// One block is being hashed, one is being filled, the others wait between.
void body_hash::hand_over() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return full_.size() < blocks - 2; });
  full_.push_back(std::exchange(filling_, {}));
  if (!spare_.empty()) {
    filling_ = std::move(spare_.front());
    spare_.pop_front();
  }
  lock.unlock();
  changed_.notify_one();
}

void body_hash::run() {
  std::string block;
  for (std::unique_lock lock(mutex_);;) {
    changed_.wait(lock, [this] { return !full_.empty() || is_all_ || is_given_up_; });
    if (is_given_up_ || full_.empty()) return;
    block = std::move(full_.front());
    full_.pop_front();
    lock.unlock();
    changed_.notify_one();
    hash_.update(block);
    block.clear();
    lock.lock();
    spare_.push_back(std::move(block));
  }
}

std::string body_hash::finish() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      full_.push_back(std::move(filling_));
      is_all_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  return hash_.finish();
}

}  // namespace evp::http
