// How long to wait before the next connection attempt: exponential with full jitter.
#pragma once

#include <algorithm>
#include <random>

#include "base/time.h"

namespace evp::mqtt {

/// Doubles an upper bound from `min` to `max` and draws each wait evenly from zero to that bound ("full jitter"), so
/// that a fleet that lost its broker at one moment doesn't return at one moment.
/// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
class backoff {
 public:
  backoff(milliseconds min, milliseconds max, std::uint64_t seed)
      : min_(std::max(min, milliseconds(1))), max_(std::max(max, min_)), bound_(min_), random_(seed) {}

  milliseconds next() {
    std::uniform_int_distribution<milliseconds::rep> draw(0, bound_.count());
    bound_ = std::min(bound_ * 2, max_);
    return milliseconds(draw(random_));
  }
  /// To be called after a connection that was healthy for a while.
  void reset() noexcept { bound_ = min_; }

 private:
  milliseconds min_, max_, bound_;
  std::mt19937_64 random_;
};

}  // namespace evp::mqtt
