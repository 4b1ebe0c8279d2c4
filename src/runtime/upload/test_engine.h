// For tests: an engine in invented time, whose actions are collected.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/upload/engine.h"
#include "runtime/upload/test_actions.h"

namespace evp::runtime::upload {

using namespace std::chrono_literals;

class engine_test : public testing::Test {
 protected:
  explicit engine_test(limits l = {}, std::set<std::string> certificates = {})
      : engine_(l, {}, 7, std::move(certificates)) {}

  void step(event e) {
    for (auto& a : engine_.step(std::move(e), now_)) {
      if (const auto* t = std::get_if<set_timer>(&a)) timer_ = t->at;
      if (const auto* f = std::get_if<finish>(&a)) finished_[f->id].push_back(*f);
      done_.push_back(std::move(a));
    }
  }
  void wait(milliseconds d) {
    now_ += d;
    step(tick{});
  }
  /// The actions of that type since the last call, in order.
  template <class T>
  std::vector<T> took() {
    return take_out<T>(done_);
  }
  operation_id submit(std::optional<grant> own = std::nullopt) {
    order o;
    o.own = std::move(own);
    o.deadline = now_ + 24h;
    step(submitted{++last_, std::move(o)});
    return last_;
  }
  operation_id submit_own_url() {
    grant own;
    own.url = secret("http://storage/file");
    return submit(std::move(own));
  }
  static grant some_grant(std::string grant_id = {}, std::string certificate = {}) {
    grant g;
    g.url = secret("https://storage/object?signature");
    g.grant_id = std::move(grant_id);
    g.certificate_id = std::move(certificate);
    return g;
  }
  /// Brings a fresh operation to its transfer.
  start_transfer to_transfer(grant g = some_grant()) {
    step(connected{});
    submit();
    const auto asked = took<request_grant>();
    EXPECT_EQ(asked.size(), 1U);
    step(grant_received{asked.at(0).reqid, std::move(g)});
    const auto started = took<start_transfer>();
    EXPECT_EQ(started.size(), 1U);
    return started.at(0);
  }
  void answer(const start_transfer& t, int status) {
    transfer_result r;
    r.status = status;
    step(transfer_finished{t.id, t.attempt, r});
  }
  void break_off(const start_transfer& t, errc code) {
    transfer_result r;
    r.failure = error(code, "why");
    step(transfer_finished{t.id, t.attempt, r});
  }
  blob_outcome outcome(operation_id id) {
    EXPECT_EQ(finished_[id].size(), 1U) << "exactly one outcome";
    return finished_[id].empty() ? blob_outcome{} : finished_[id][0].outcome;
  }
  bool open(operation_id id) { return finished_[id].empty(); }

  engine engine_;
  steady_time now_{1h};
  operation_id last_ = 0;
  std::optional<steady_time> timer_;
  std::vector<action> done_;
  std::map<operation_id, std::vector<finish>> finished_;
};

}  // namespace evp::runtime::upload
