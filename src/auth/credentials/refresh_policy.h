// When a credential is fetched anew, and how its owner's health reads: the rules of the token cache, without the cache.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "io/clock.h"

namespace evp::auth {

/// How the fetching of a credential goes, for people.
struct credential_health {
  bool healthy = true;
  std::optional<errc> code;  ///< of the last failed fetch, while degraded
  std::string reason;        ///< what to do about it; never holds a secret. Empty while healthy
  timestamp since;           ///< when the present state began
};

/// Each bound with its reason. All waits get jitter, so that replicas and services don't ask in step.
struct refresh_options {
  /// A new one is fetched at a random point between these parts of a credential's life: early enough that several
  /// attempts fit before it dies.
  double refresh_from = 0.70, refresh_to = 0.85;
  milliseconds refresh_soonest{10'000};  ///< but never sooner after a fetch: some sources repeat a dying credential
  milliseconds reserve{5'000};           ///< counted as dead that long before its expiry: clocks differ
  milliseconds outage_first{1'000}, outage_max{60'000};      ///< back-off after unavailable, deadline_exceeded ...
  milliseconds refusal_first{60'000}, refusal_max{900'000};  ///< after a refusal: a person must act first
  milliseconds retry_after_max{900'000};                     ///< no peer can send us away for longer
};

/// A number from 0 to 1 (exclusive), strongly random.
double random_fraction();

/// The rules. Confined to one executor; the clock outlives it. No I/O.
class refresh_policy {
 public:
  refresh_policy(const io::clock& clock, refresh_options options, std::function<double()> random = random_fraction);

  /// A credential has come that dies at that time (timestamp::max(): never).
  void fetched(timestamp expires_at);
  /// A fetch has failed. Temporary errors (is_temporary) and refusals are told apart.
  void failed(const error& e);
  /// The peer no longer takes the credential although it has not expired. The next fetch may begin at once, unless
  /// this one was fetched less than refresh_soonest ago: then a new one would not be taken either.
  void rejected();

  /// The last credential lives for `wanted` longer. Of short-lived ones less is wanted: a tenth of their life.
  bool lives(milliseconds wanted) const;
  /// The last credential is due for renewal.
  bool due() const;
  /// Why no fetch may begin now, with the time left to wait in retry_after; nothing when one may.
  std::optional<error> held_back() const;
  const credential_health& health() const noexcept { return health_; }

 private:
  milliseconds jittered(milliseconds d) const;

  const io::clock& clock_;
  refresh_options options_;
  std::function<double()> random_;
  std::optional<timestamp> expires_at_;  // of the last credential; nothing: there is none
  milliseconds life_{0};
  steady_time fetched_at_{}, refresh_at_{};
  std::optional<error> failure_;  // of the last fetch
  std::optional<steady_time> retry_at_;
  int failures_ = 0;  // in a row and of one kind
  credential_health health_;
};

}  // namespace evp::auth
