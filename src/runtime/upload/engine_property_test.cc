// Whatever the world does to it, the engine gives each accepted operation exactly one outcome, within its bounds.
#include <gtest/gtest.h>

#include <deque>

#include "runtime/upload/engine.h"

namespace evp::runtime::upload {
namespace {

using namespace std::chrono_literals;

/// A hub and storages that drop, double, delay and refuse as the seed says, until the faults stop.
class world {
 public:
  explicit world(std::uint64_t seed) : random_(seed), engine_(bounds(), {}, seed, {}) {}

  void run() {
    for (int turn = 0; turn < 600; ++turn) {
      now_ += milliseconds(pick(0, 400) * (chance(2) ? 50 : 1));
      disturb();
    }
    calm_ = true;
    take(connected{});
    for (int turn = 0; turn < 20000 && (engine_.live() > 0 || !pending_.empty()); ++turn) {
      if (pending_.empty() && timer_) now_ = std::max(now_, *timer_);
      deliver();
      take(tick{});
    }
  }

  void check() const {
    EXPECT_GT(accepted_.size(), 20U);
    EXPECT_EQ(engine_.live(), 0U);
    EXPECT_EQ(engine_.transferring(), 0U);
    EXPECT_FALSE(timer_.has_value()) << "an idle engine wants no wake-up";
    for (const auto& [id, outcomes] : accepted_) {
      ASSERT_EQ(outcomes.size(), 1U) << "operation " << id;
      const auto& o = outcomes[0];
      if (o.result == blob_outcome::kind::success) {
        EXPECT_TRUE(stored_.contains(id)) << "success without a stored object";
      }
      if (o.result == blob_outcome::kind::error) { EXPECT_NE(o.error, 0); }
      if (o.result == blob_outcome::kind::error_http) { EXPECT_GE(o.http_status, 300U); }
    }
  }

  std::size_t noted() const { return noted_; }

 private:
  static limits bounds() {
    limits l;
    l.transfers = 3;
    l.asked_ahead = 5;
    l.offline_grants = 6;
    l.offline_pause = 20s;
    return l;
  }
  int pick(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }
  bool chance(int percent) { return pick(1, 100) <= percent; }

  void disturb() {
    switch (pick(0, 7)) {
      case 0: return submit();
      case 1: return take(chance(60) ? event(connected{}) : event(disconnected{}));
      case 2: return take(tick{});
      default: return deliver();
    }
  }
  void submit() {
    order o;
    if (engine_.live() >= 36) return;
    o.deadline = now_ + 30min;
    o.operation = chance(80) ? wire::blob_operation::put : wire::blob_operation::get;
    if (chance(25)) {
      o.own.emplace();
      o.own->url = secret("http://own");
    } else if (o.operation == wire::blob_operation::put && chance(10)) {
      o.kept.emplace();
      o.kept->url = secret("http://kept");
      o.kept->grant_id = "k";
      o.kept->expires_in = milliseconds(pick(1, 600'000));
      if (chance(30)) o.kept->certificate_id = "sha256:1";
    }
    const auto id = ++last_;
    accepted_[id];
    if (o.operation == wire::blob_operation::put) puts_.insert(id);
    take(submitted{id, std::move(o)});
  }
  /// Delivers one pending event, in any order; sometimes twice, sometimes (of messages) never.
  void deliver() {
    if (pending_.empty()) return;
    const auto at = pending_.begin() + pick(0, int(pending_.size()) - 1);
    event e = *at;
    const bool is_transfer = std::holds_alternative<transfer_finished>(e) || std::holds_alternative<file_hashed>(e);
    if (calm_ || is_transfer || !chance(15)) pending_.erase(at);  // else it stays: a duplicate
    if (!calm_ && !is_transfer && chance(20)) return;             // lost
    if (chance(10)) take(e);
    take(std::move(e));
  }
  void take(event e) {
    for (auto& a : engine_.step(std::move(e), now_)) std::visit([this](auto& what) { act(what); }, a);
    EXPECT_LE(engine_.transferring(), 3U);
    EXPECT_LE(engine_.live(), 36U);
  }

  void act(const request_grant& a) {
    if (puts_.contains(a.id) && !hashed_.contains(a.id) && chance(20)) {
      pending_.push_back(grant_failed{a.reqid, error(errc::checksum_required, "x"), false});
      return;
    }
    if (!calm_ && chance(15)) {
      static constexpr errc codes[] = {errc::unavailable, errc::rate_limited, errc::not_found, errc::unsupported};
      pending_.push_back(grant_failed{a.reqid, error(codes[pick(0, 3)], "x"), chance(10)});
      return;
    }
    EXPECT_TRUE(!a.offline || puts_.contains(a.id)) << "only uploads have grants for later";
    grant g;
    g.offline = a.offline ? chance(80) : chance(5);
    g.url = secret("http://granted");
    if (chance(60)) g.grant_id = "g" + std::to_string(a.reqid);
    if (!g.grant_id.empty() && chance(30)) {
      g.url = {};
      g.plan.emplace();
      g.plan->part_bytes = 100;
      g.plan->part_count = unsigned(pick(1, 9));
      g.plan->parallel = unsigned(pick(1, 4));
      g.plan->parts = parts(1, unsigned(pick(1, int(g.plan->part_count))));
    }
    if (chance(40)) g.certificate_id = "sha256:" + std::to_string(pick(1, 4));
    if (chance(g.offline ? 90 : 50)) g.expires_in = milliseconds(pick(1, g.offline ? 600'000 : 120'000));
    pending_.push_back(grant_received{a.reqid, std::move(g)});
  }
  void act(const hash_file& a) {
    EXPECT_TRUE(puts_.contains(a.id)) << "only uploads are hashed";
    EXPECT_TRUE(hashed_.insert(a.id).second) << "and each once";
    transfer_result r;
    if (!calm_ && chance(20))
      r.failure = error(errc::data_corrupt, "x");
    else
      r.sha256 = std::string(64, 'a');
    pending_.push_back(file_hashed{a.id, r});
  }
  void act(const request_certificate& a) {
    if (!calm_ && chance(20)) {
      pending_.push_back(certificate_failed{a.reqid, error(chance(50) ? errc::unavailable : errc::data_corrupt, "x")});
    } else {
      pending_.push_back(certificate_received{a.certificate_id});
      if (chance(10)) pending_.push_back(certificate_lost{a.certificate_id});
    }
  }
  static std::vector<part> parts(unsigned first, unsigned last) {
    std::vector<part> all;
    for (unsigned n = first; n <= last; ++n) {
      all.emplace_back();
      all.back().number = n;
      all.back().url = secret("http://part");
    }
    return all;
  }
  void act(const request_parts& a) {
    if (!calm_ && chance(20)) {
      pending_.push_back(parts_failed{a.reqid, error(chance(60) ? errc::unavailable : errc::not_found, "x")});
    } else {
      pending_.push_back(parts_received{a.reqid, parts(a.first, std::min(a.last, a.first + unsigned(pick(0, 5)))),
                                        milliseconds(pick(1, 120'000))});
    }
  }
  void act(const note_plan&) {}
  void act(const note_part&) {}
  void act(const note_sent& a) {
    EXPECT_TRUE(stored_.contains(a.id));
    held_.erase(a.id);
  }
  void act(const note_grant& a) {
    EXPECT_TRUE(a.grant.offline && a.grant.expires_in && !a.grant.plan);
    EXPECT_TRUE(held_.insert(a.id).second) << "one for an operation, until it is used or let go";
    EXPECT_LE(held_.size(), bounds().offline_grants);
    ++noted_;
  }
  void act(const drop_grant& a) { held_.erase(a.id); }
  void act(const start_transfer& a) {
    EXPECT_FALSE(a.part ? a.part->url.empty() : a.grant.url.empty());
    transfer_result r;
    if (!calm_ && chance(20)) {
      r.failure = error(chance(80) ? errc::unavailable : errc::permission_denied, "x");
    } else {
      static constexpr int statuses[] = {200, 201, 307, 403, 404, 408, 429, 500, 503};
      r.status = calm_ ? 200 : statuses[pick(0, std::size(statuses) - 1)];
      if (chance(10)) r.retry_after = milliseconds(pick(0, 5000));
    }
    if (!r.failure && r.status < 300) stored_.insert(a.id);
    pending_.push_back(transfer_finished{a.id, a.attempt, std::move(r), a.part ? a.part->number : 0});
  }
  void act(const send_report& a) {
    std::optional<error> why;
    if (!calm_ && chance(30)) why = error(chance(70) ? errc::unavailable : errc::data_corrupt, "x");
    pending_.push_back(report_answered{a.reqid, std::move(why)});
  }
  void act(const set_timer& a) { timer_ = a.at; }
  void act(const finish& a) {
    accepted_.at(a.id).push_back(a.outcome);
    held_.erase(a.id);
  }

  std::mt19937_64 random_;
  engine engine_;
  steady_time now_{1h};
  std::deque<event> pending_;
  std::set<operation_id> puts_, hashed_;
  std::set<operation_id> held_;  ///< with a grant for later that was given in this world
  std::size_t noted_ = 0;
  std::optional<steady_time> timer_;
  bool calm_ = false;
  operation_id last_ = 0;
  std::map<operation_id, std::vector<blob_outcome>> accepted_;
  std::set<operation_id> stored_;
};

TEST(engine_property, every_accepted_operation_has_exactly_one_outcome_whatever_the_world_does) {
  std::size_t noted = 0;
  for (std::uint64_t seed = 1; seed <= 250; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    world w(seed);
    w.run();
    w.check();
    if (testing::Test::HasFailure()) return;
    noted += w.noted();
  }
  EXPECT_GT(noted, 250U) << "a world without grants for later proves nothing of them";
}

}  // namespace
}  // namespace evp::runtime::upload
