// The circuit breaker of one storage: while it is dead, nothing is sent to it but a probe from time to time.
#pragma once

#include <algorithm>
#include <optional>
#include <random>

#include "base/time.h"

namespace evp::runtime::upload {

struct breaker_policy {
  unsigned failures = 5;            ///< one after the other, of any files, open it
  milliseconds open_first{15'000};  ///< until the first probe; doubles with each that fails ...
  milliseconds open_max{600'000};   ///< ... up to this
  milliseconds probe_wait{5'000};   ///< who wants to send during a probe asks again after this
  milliseconds grace{60'000};       ///< healthy for so long: the waits begin at the first one again
};

/// Pure. Failures are those that say something of the storage: no connection, time-outs, 408, 429, 5xx.
class breaker {
 public:
  /// Nothing: go on; in an open breaker this makes the caller the probe. Otherwise: not before that time.
  std::optional<steady_time> refuses(const breaker_policy& p, steady_time now) {
    if (!open_until_) return std::nullopt;
    if (now < *open_until_) return open_until_;
    if (probing_) return now + p.probe_wait;
    probing_ = true;
    return std::nullopt;
  }
  void failed(const breaker_policy& p, steady_time now, std::mt19937_64& random) {
    healthy_since_.reset();
    const bool was_probe = std::exchange(probing_, false);
    if (++failures_ < p.failures && !was_probe) return;
    const auto bound = std::min(p.open_max, p.open_first * (std::int64_t{1} << std::min(level_, 20U)));
    // Between half and all of it: devices that lost a storage together don't come back together.
    const milliseconds wait(std::uniform_int_distribution<std::int64_t>(bound.count() / 2, bound.count())(random));
    if (!open_until_ || now >= *open_until_) ++level_;
    open_until_ = now + wait;
  }
  /// It has answered, well or with a refusal of this one file.
  void answered(const breaker_policy& p, steady_time now) {
    open_until_.reset();
    probing_ = false;
    failures_ = 0;
    if (!healthy_since_) healthy_since_ = now;
    if (now - *healthy_since_ >= p.grace) level_ = 0;
  }
  /// The exchange has ended in a way that says nothing of the storage: another one may be the probe.
  void learnt_nothing() noexcept { probing_ = false; }
  bool is_open() const noexcept { return open_until_.has_value(); }
  bool is_new() const noexcept { return !open_until_ && failures_ == 0 && level_ == 0; }

 private:
  std::optional<steady_time> open_until_, healthy_since_;
  unsigned failures_ = 0, level_ = 0;
  bool probing_ = false;
};

}  // namespace evp::runtime::upload
