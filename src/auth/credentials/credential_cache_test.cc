#include "auth/credentials/credential_cache.h"

#include <gmock/gmock.h>

#include "auth/credentials/test_source.h"
#include "http/test_run.h"

namespace evp::auth {
namespace {

using namespace std::chrono_literals;
using cache = credential_cache<std::string>;

/// Virtual time; jitter in the middle: refresh is due after 77.5 % of a life, back-off waits 75 % of its step.
struct credential_cache_test : testing::Test {
  io::asio::io_context ctx;
  io::manual_clock clock{timestamp(seconds(1'795'371'410))};
  issuer from;
  double chance = 0.5;
  std::unique_ptr<cache> tokens = make();

  std::unique_ptr<cache> make() {
    return std::make_unique<cache>(clock, std::make_unique<scripted_source>(from, clock), refresh_options{},
                                   [this] { return chance; });
  }
  result<expiring<std::string>> get(milliseconds wanted = 0ms) {
    auto r = http::run(ctx, tokens->get(wanted));
    settle();
    return r;
  }
  /// Runs what is ready: flights in the background end, virtual time stands still.
  void settle() {
    ctx.restart();
    ctx.poll();
  }
  std::string value(milliseconds wanted = 0ms) {
    auto r = get(wanted);
    return r ? r->value : "error: " + r.error().message();
  }
  /// A caller of its own, whose answer comes later.
  std::shared_ptr<std::optional<result<expiring<std::string>>>> ask(io::asio::cancellation_signal* stop = nullptr) {
    auto answer = std::make_shared<std::optional<result<expiring<std::string>>>>();
    auto done = [answer](std::exception_ptr e, result<expiring<std::string>> r) {
      if (!e) answer->emplace(std::move(r));
    };
    const auto slot = stop ? stop->slot() : io::asio::cancellation_slot();
    io::asio::co_spawn(ctx, tokens->get(), io::asio::bind_cancellation_slot(slot, done));
    settle();
    return answer;
  }
};

TEST_F(credential_cache_test, a_credential_is_fetched_once_and_then_served_from_memory) {
  EXPECT_EQ(from.fetches, 0);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(value(), "credential 1");
  EXPECT_EQ(from.fetches, 1);
}

TEST_F(credential_cache_test, many_who_wait_share_one_flight) {
  from.holds = true;
  std::vector<std::shared_ptr<std::optional<result<expiring<std::string>>>>> answers;
  for (int i = 0; i < 500; ++i) answers.push_back(ask());
  EXPECT_EQ(from.fetches, 1);
  EXPECT_FALSE(answers.front()->has_value());
  from.release();
  settle();
  for (const auto& a : answers) {
    ASSERT_TRUE(a->has_value());
    EXPECT_EQ((**a)->value, "credential 1");
  }
  EXPECT_EQ(from.fetches, 1);
}

TEST_F(credential_cache_test, a_failed_flight_fails_for_all_who_wait_and_is_not_repeated_for_each) {
  from.holds = true;
  from.failure = error(errc::unavailable, "down");
  auto first = ask(), second = ask();
  from.release();
  settle();
  EXPECT_EQ((*first)->error().code(), errc::unavailable);
  EXPECT_EQ((*second)->error().code(), errc::unavailable);
  EXPECT_EQ(from.fetches, 1);
}

TEST_F(credential_cache_test, one_waiter_that_is_cancelled_leaves_the_flight_to_the_others) {
  from.holds = true;
  io::asio::cancellation_signal stop;
  auto impatient = ask(&stop);
  auto patient = ask();
  stop.emit(io::asio::cancellation_type::all);
  settle();
  from.release();
  settle();
  ASSERT_TRUE(patient->has_value());
  EXPECT_EQ((**patient)->value, "credential 1");
  EXPECT_EQ(from.cancelled, 0);
}

TEST_F(credential_cache_test, renewal_begins_ahead_of_expiry_and_nobody_waits_for_it) {
  EXPECT_EQ(value(), "credential 1");
  clock.advance(46min);
  EXPECT_EQ(value(), "credential 1");
  EXPECT_EQ(from.fetches, 1);
  clock.advance(1min);  // past 46.5 minutes of 60
  from.holds = true;
  auto answer = ask();
  ASSERT_TRUE(answer->has_value()) << "the caller waited for the renewal";
  EXPECT_EQ((**answer)->value, "credential 1");
  EXPECT_EQ(from.fetches, 2);
  auto again = ask();
  EXPECT_EQ((**again)->value, "credential 1");
  EXPECT_EQ(from.fetches, 2) << "one renewal at a time";
  from.release();
  settle();
  EXPECT_EQ(value(), "credential 2");
}

TEST_F(credential_cache_test, renewals_are_spread_by_jitter) {
  const auto due_after = [&](double c) {
    chance = c;
    tokens = make();
    from.fetches = 0;
    (void)get();
    auto minutes = 0min;
    for (; from.fetches == 1; ++minutes) {
      clock.advance(1min);
      (void)get();
    }
    return minutes;
  };
  EXPECT_EQ(due_after(0.0), 42min);       // 70 % of an hour
  EXPECT_EQ(due_after(0.999999), 51min);  // 85 %
}

TEST_F(credential_cache_test, a_failed_renewal_is_hidden_until_the_old_credential_dies) {
  EXPECT_EQ(value(), "credential 1");
  from.failure = error(errc::unavailable, "the token service is down");
  clock.advance(50min);
  EXPECT_EQ(value(), "credential 1");
  EXPECT_GT(from.fetches, 1);
  clock.advance(9min);
  EXPECT_EQ(value(), "credential 1");
  clock.advance(2min);
  EXPECT_EQ(get().error().code(), errc::unavailable);
}

TEST_F(credential_cache_test, a_refused_renewal_is_hidden_too_but_shows_at_once_in_the_health) {
  EXPECT_EQ(value(), "credential 1");
  from.failure = error(errc::unauthenticated, "the secret was revoked");
  clock.advance(50min);
  EXPECT_EQ(value(), "credential 1");
  EXPECT_FALSE(tokens->health().healthy);
  EXPECT_EQ(tokens->health().code, errc::unauthenticated);
}

TEST_F(credential_cache_test, an_outage_is_asked_again_with_growing_waits_up_to_a_minute) {
  from.failure = error(errc::unavailable, "down");
  std::vector<milliseconds> waits;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(get().error().code(), errc::unavailable);
    const auto e = get().error();  // in the back-off: answered from memory
    ASSERT_TRUE(e.retry_after());
    waits.push_back(*e.retry_after());
    clock.advance(*e.retry_after());
  }
  EXPECT_EQ(from.fetches, 10);
  EXPECT_THAT(waits, testing::ElementsAre(750ms, 1500ms, 3s, 6s, 12s, 24s, 45s, 45s, 45s, 45s));
}

TEST_F(credential_cache_test, a_storm_of_callers_causes_no_storm_of_fetches) {
  for (const auto code : {errc::unavailable, errc::unauthenticated, errc::permission_denied}) {
    tokens = make();
    from.fetches = 0;
    from.failure = error(code, "no");
    for (int i = 0; i < 6000; ++i) {  // ten minutes, ten callers a second
      (void)get();
      clock.advance(100ms);
    }
    EXPECT_LE(from.fetches, code == errc::unavailable ? 20 : 5) << to_string(code);
    EXPECT_GE(from.fetches, 3) << to_string(code);
  }
}

TEST_F(credential_cache_test, a_refusal_is_asked_again_far_more_rarely_than_an_outage) {
  from.failure = error(errc::permission_denied, "the role may not be assumed");
  (void)get();
  EXPECT_EQ(get().error().retry_after(), 45s);
  clock.advance(44s);
  (void)get();
  EXPECT_EQ(from.fetches, 1);
  clock.advance(2s);
  (void)get();
  EXPECT_EQ(from.fetches, 2);
  EXPECT_EQ(get().error().retry_after(), 90s);
}

TEST_F(credential_cache_test, an_outage_after_a_refusal_starts_its_own_back_off) {
  from.failure = error(errc::unauthenticated, "wrong secret");
  for (int i = 0; i < 5; ++i) {
    (void)get();
    clock.advance(15min);
  }
  from.failure = error(errc::unavailable, "down");
  (void)get();
  EXPECT_EQ(get().error().retry_after(), 750ms);
}

TEST_F(credential_cache_test, a_peers_retry_after_is_obeyed_within_bounds) {
  from.failure = error(errc::rate_limited, "slow down").after(5min);
  (void)get();
  EXPECT_EQ(get().error().retry_after(), 5min);
  clock.advance(5min);
  from.failure = error(errc::rate_limited, "slow down").after(24h);
  (void)get();
  EXPECT_EQ(get().error().retry_after(), 15min);
}

TEST_F(credential_cache_test, health_says_why_and_since_when_and_recovers) {
  const auto begin = clock.now();
  EXPECT_TRUE(tokens->health().healthy);
  EXPECT_EQ(tokens->health().since, begin);
  clock.advance(1min);
  from.failure = error(errc::unavailable, "the token service is down");
  (void)get();
  clock.advance(1min);
  from.failure = error(errc::unauthenticated, "the secret was revoked");
  (void)get();
  const auto ill = tokens->health();
  EXPECT_FALSE(ill.healthy);
  EXPECT_EQ(ill.reason, "the secret was revoked");
  EXPECT_EQ(ill.code, errc::unauthenticated);
  EXPECT_EQ(ill.since, begin + 1min) << "ill since the first failure in the row";
  from.failure.reset();
  clock.advance(15min);
  EXPECT_EQ(value().substr(0, 10), "credential");
  EXPECT_TRUE(tokens->health().healthy);
  EXPECT_EQ(tokens->health().reason, "");
  EXPECT_EQ(tokens->health().since, clock.now());
}

TEST_F(credential_cache_test, a_caller_who_needs_longer_than_is_left_waits_for_a_new_one) {
  EXPECT_EQ(value(), "credential 1");
  clock.advance(59min);
  EXPECT_EQ(value(2min), "credential 2");
}

TEST_F(credential_cache_test, wanting_longer_than_any_credential_lives_does_not_fetch_at_every_call) {
  for (int i = 0; i < 50; ++i) {
    (void)get(24h);
    clock.advance(1min);
  }
  EXPECT_LE(from.fetches, 3);
}

TEST_F(credential_cache_test, a_source_that_repeats_a_dying_credential_is_not_asked_in_a_storm) {
  from.life = 20s;
  for (int i = 0; i < 200; ++i) {
    (void)get();
    clock.advance(100ms);
    from.life -= 100ms;
    if (from.life < 1s) break;
  }
  EXPECT_LE(from.fetches, 4);
}

TEST_F(credential_cache_test, a_credential_that_comes_expired_is_a_failure) {
  from.life = -1s;
  EXPECT_EQ(get().error().code(), errc::unavailable);
  EXPECT_FALSE(tokens->health().healthy);
}

TEST_F(credential_cache_test, a_credential_without_expiry_is_kept) {
  from.life = timestamp::max() - clock.now();
  EXPECT_EQ(value(), "credential 1");
  clock.advance(24h * 30);
  EXPECT_EQ(value(), "credential 1");
}

TEST_F(credential_cache_test, a_credential_that_the_peer_refuses_is_replaced_once_and_not_in_a_storm) {
  auto used = get().value();
  clock.advance(1min);
  tokens->reject(used);
  tokens->reject(used);
  EXPECT_EQ(value(), "credential 2");
  tokens->reject(used);  // replaced long ago
  EXPECT_EQ(value(), "credential 2");
  tokens->reject(get().value());  // only just issued, and refused as well
  EXPECT_EQ(get().error().code(), errc::unauthenticated);
  EXPECT_FALSE(tokens->health().healthy);
  clock.advance(10s);
  EXPECT_EQ(value(), "credential 3");
}

TEST_F(credential_cache_test, a_dropped_credential_is_forgotten_at_once) {
  EXPECT_EQ(value(), "credential 1");
  tokens->drop();
  EXPECT_FALSE(tokens->holds_one());
  EXPECT_EQ(value(), "credential 2");
}

TEST_F(credential_cache_test, dropping_ends_the_flight_and_tells_who_waits) {
  from.holds = true;
  auto answer = ask();
  tokens->drop();
  settle();
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->error().code(), errc::failed_precondition);
  EXPECT_EQ(from.cancelled, 1);
  EXPECT_FALSE(tokens->holds_one());
}

TEST_F(credential_cache_test, a_cache_may_go_while_somebody_waits) {
  from.holds = true;
  auto answer = ask();
  tokens.reset();
  settle();
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((*answer)->error().code(), errc::failed_precondition);
}

}  // namespace
}  // namespace evp::auth
