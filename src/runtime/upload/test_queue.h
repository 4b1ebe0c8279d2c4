// For tests: a queue in invented time, with a journal whose writes end when the test says so.
#pragma once

#include <gmock/gmock.h>

#include "runtime/upload/queue.h"
#include "runtime/upload/test_actions.h"

namespace evp::runtime::upload {

using namespace std::chrono_literals;
using kind = blob_outcome::kind;

class queue_test : public testing::Test {
 protected:
  void SetUp() override { make(); }

  void make() {
    queue::parts p;
    p.queue = limits_;
    p.engine = engine_limits_;
    p.seed = 7;
    p.open_own = [](const journal::accepted& a) -> result<grant> {
      if (a.own == "broken") return fail(errc::data_corrupt, "cannot be opened");
      grant g;
      g.url = secret(a.own);
      return g;
    };
    p.seal_kept = [](operation_id id, const grant& g) {  // reversed: no URL any more
      const auto& url = g.url.reveal();
      return std::to_string(id) + ":" + std::string(url.rbegin(), url.rend());
    };
    p.open_kept = [](operation_id id, std::string_view sealed) -> result<grant> {
      const auto whose = std::to_string(id) + ":";
      if (!sealed.starts_with(whose)) return fail(errc::data_corrupt, "another operation's");
      sealed.remove_prefix(whose.size());
      grant g;
      g.url = secret(std::string(sealed.rbegin(), sealed.rend()));
      return g;
    };
    queue_ = std::make_unique<queue>(std::move(p));
    done_.clear();
    writing_ = false;
    timer_.reset();
  }
  void step(queue_event e) {
    for (auto& a : queue_->step(std::move(e), {now_, wall_})) {
      if (const auto* t = std::get_if<set_timer>(&a)) timer_ = t->at;
      if (auto* w = std::get_if<write>(&a)) {
        EXPECT_FALSE(writing_) << "one write at a time";
        writing_ = true;
        write_ = *w;
      }
      done_.push_back(std::move(a));
    }
  }
  /// The write that is under way has ended.
  void commit() {
    ASSERT_TRUE(writing_);
    writing_ = false;
    if (write_.replace) file_.clear();
    file_ += write_.records;
    if (write_.sync) durable_ = file_;
    step(written{});
  }
  void commit_all() {
    while (writing_) commit();
  }
  void fail_write() {
    writing_ = false;
    step(written{errno_error(ENOSPC, "journal")});
  }
  void wait(milliseconds d) {
    now_ += d;
    wall_ += d;
    step(event(tick{}));
  }
  template <class T>
  std::vector<T> took() {
    return take_out<T>(done_);
  }
  static journal::accepted file(std::string name = "f", std::string instance = "up") {
    journal::accepted a;
    a.instance = std::move(instance);
    a.remote_name = name;
    a.path = "out/" + name;
    a.size = 10;
    return a;
  }
  void offer(journal::accepted what, std::uint32_t life = 1) { step(offered{{life, ++ticket_}, std::move(what)}); }
  operation_id accept(journal::accepted what, std::uint32_t life = 1) {
    offer(std::move(what), life);
    commit_all();
    const auto answers = took<answer>();
    EXPECT_EQ(answers.size(), 1U);
    EXPECT_TRUE(answers.at(0).accepted) << answers.at(0).accepted.error().message();
    return answers.at(0).accepted.value_or(0);
  }
  /// Brings a fresh operation to the storage's 200, with a report to be answered if there is a grant id.
  operation_id send(journal::accepted what, std::string grant_id = "g1") {
    const auto id = accept(std::move(what));
    step(event(connected{}));
    const auto asked = took<request_grant>();
    EXPECT_EQ(asked.size(), 1U);
    grant g;
    g.url = secret("https://storage/o");
    g.grant_id = std::move(grant_id);
    step(event(grant_received{asked.at(0).reqid, g}));
    const auto t = took<start_transfer>().at(0);
    transfer_result r;
    r.status = 201;
    r.bytes = 10;
    step(event(transfer_finished{t.id, t.attempt, r}));
    return id;
  }
  void confirm() { step(event(report_answered{took<send_report>().at(0).reqid, std::nullopt})); }
  /// A restart that finds these bytes.
  void restart(const std::string& bytes) {
    make();
    std::vector<journal::record> records;
    for (std::string_view left = bytes; !left.empty();) records.push_back(**journal::take_record(left));
    step(recovered{std::move(records)});
  }

  queue_limits limits_;
  limits engine_limits_;
  std::unique_ptr<queue> queue_;
  steady_time now_{1h};
  timestamp wall_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 22)};
  std::uint64_t ticket_ = 0;
  std::vector<queue_action> done_;
  std::optional<steady_time> timer_;
  bool writing_ = false;
  write write_;
  std::string file_, durable_;  ///< the journal's records, and what a power cut would leave
};

}  // namespace evp::runtime::upload
