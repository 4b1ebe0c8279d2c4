// The token cache: one credential of one source, fetched by one flight for all who wait, renewed before it dies.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>

#include "auth/credentials/refresh_policy.h"
#include "io/task.h"

namespace evp::auth {

/// A credential and the time of its death (timestamp::max(): it has none).
template <class T>
struct expiring {
  T value;
  timestamp expires_at;
};

/// Where credentials come from: one vendor's way to issue one kind. Applying them is others' work.
template <class T>
class credential_source {
 public:
  virtual ~credential_source() = default;
  /// Asks the issuer, once: no retry, no waiting, no caching here. Each HTTP exchange has a total timeout. Errors tell
  /// refusals (unauthenticated, permission_denied, invalid_argument, not_found ...) from outages (unavailable,
  /// deadline_exceeded, rate_limited) and never hold secrets.
  virtual io::task<result<expiring<T>>> fetch() = 0;
};

inline constexpr milliseconds fetch_limit{20'000};  ///< of one fetch with all its exchanges

/// The rules are refresh_policy's. Confined to the executor of its callers; the clock outlives it. Renewal is begun by
/// a call of get(), not by a timer: a service that nobody uses asks nobody.
template <class T>
class credential_cache {
 public:
  credential_cache(const io::clock& clock, std::unique_ptr<credential_source<T>> source, refresh_options options = {},
                   std::function<double()> random = random_fraction)
      : state_(std::make_shared<state>(clock, std::move(source), options, std::move(random))) {}
  ~credential_cache() { drop(); }
  credential_cache(const credential_cache&) = delete;
  credential_cache& operator=(const credential_cache&) = delete;

  /// The credential. One that lives for `wanted` longer is given at once, and when it is due a new one is fetched
  /// behind the caller's back; otherwise the caller waits for the one flight that all callers share. When that fails,
  /// or no fetch may begin (back-off), what still lives is given. A caller that is cancelled leaves the flight to the
  /// others. Errors: the source's, with retry_after where it is remembered from the last fetch; failed_precondition
  /// (dropped while waiting), deadline_exceeded (fetch_limit), cancelled.
  io::task<result<expiring<T>>> get(milliseconds wanted = milliseconds(0)) {
    const auto s = state_;  // stays, even when the cache goes while we wait
    const auto ex = co_await io::asio::this_coro::executor;
    if (s->held && s->policy.lives(wanted)) {
      if (!s->flying && s->policy.due() && !s->policy.held_back()) start(s, ex);
      co_return *s->held;
    }
    if (!s->flying) {
      if (auto why = s->policy.held_back()) {
        if (s->held && s->policy.lives({})) co_return *s->held;
        co_return fail(std::move(*why));
      }
      start(s, ex);
    }
    const auto f = s->flying;
    boost::system::error_code ec;
    auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
    if (!f->outcome) co_await f->over.async_wait(token);
    if (!f->outcome) co_return fail(errc::cancelled, "cancelled");
    if (!*f->outcome && s->held && s->policy.lives({})) co_return *s->held;
    co_return *f->outcome;
  }

  /// The peer refused this credential before its time: the next get() fetches another one, at most every
  /// refresh_soonest. Nothing happens when it has been replaced already.
  void reject(const expiring<T>& refused) {
    auto& s = *state_;
    if (!s.held || s.held->expires_at != refused.expires_at || !(s.held->value == refused.value)) return;
    s.held.reset();
    s.policy.rejected();
  }

  /// Forgets the credential at once and ends a flight; who waits for it gets failed_precondition.
  void drop() {
    auto& s = *state_;
    s.held.reset();
    const auto f = std::exchange(s.flying, nullptr);
    if (!f) return;
    f->outcome.emplace(
        fail(errc::failed_precondition, "the storage access service was changed or removed meanwhile: try again"));
    f->over.cancel();
    f->stop.emit(io::asio::cancellation_type::all);
  }

  credential_health health() const { return state_->policy.health(); }
  /// A credential is in memory.
  bool holds_one() const noexcept { return state_->held.has_value(); }

 private:
  struct flight {
    explicit flight(const io::executor& ex) : over(ex, steady_time::max()) {}
    std::optional<result<expiring<T>>> outcome;
    io::asio::steady_timer over;
    io::asio::cancellation_signal stop;
  };
  struct state {
    state(const io::clock& time, std::unique_ptr<credential_source<T>> from, refresh_options options,
          std::function<double()> random)
        : clock(time), source(std::move(from)), policy(time, options, std::move(random)) {}
    const io::clock& clock;
    std::unique_ptr<credential_source<T>> source;
    refresh_policy policy;
    std::optional<expiring<T>> held;
    std::shared_ptr<flight> flying;
  };

  static void start(std::shared_ptr<state> s, const io::executor& ex) {
    const auto f = std::make_shared<flight>(ex);
    s->flying = f;
    auto done = [f](std::exception_ptr e) {
      if (e && !f->outcome) std::rethrow_exception(e);  // a flight that was dropped may end by operation_aborted
    };
    io::asio::co_spawn(ex, fly(s, f), io::asio::bind_cancellation_slot(f->stop.slot(), std::move(done)));
  }

  static io::task<void> fly(std::shared_ptr<state> s, std::shared_ptr<flight> f) {
    co_await io::asio::this_coro::throw_if_cancelled(false);
    auto limited = io::with_deadline(s->source->fetch(), fetch_limit, "fetching a credential");
    auto fetched = co_await std::move(limited);
    if (s->flying != f) co_return;  // dropped
    s->flying.reset();
    if (fetched && fetched->expires_at <= s->clock.now())
      fetched = fail(errc::unavailable, "the issuer gave a credential that has expired: check this machine's clock");
    if (fetched) {
      s->held = *fetched;
      s->policy.fetched(fetched->expires_at);
    } else {
      s->policy.failed(fetched.error());
    }
    f->outcome.emplace(std::move(fetched));
    f->over.cancel();
  }

  std::shared_ptr<state> state_;
};

}  // namespace evp::auth
