// Hooks: what is told to whom, until it has arrived, under a clock and a network that the test steers.
#include "backend/hooks.h"

#include "backend/test_world.h"
#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string key(32, 'k');

struct hooks_test : world {
  hooks_test() {
    network_.answer = [this](const http::request& r) { return reply(r.url.reveal()); };
  }
  ~hooks_test() override { close(); }  // before what its network uses

  io::task<result<http::response>> reply(std::string url) {
    if (hanging_.contains(url)) {
      const bool slept = co_await io::sleep_for(std::chrono::hours(1));
      if (!slept) co_return fail(errc::cancelled, "cancelled");
    }
    http::response out;
    out.status = status_;
    if (!retry_after_.empty()) out.fields.push_back({"Retry-After", retry_after_});
    co_return out;
  }
  void hook(const std::string& name, std::vector<std::string> states = {}, std::vector<std::string> services = {}) {
    hook_input in{.url = "https://" + name + ".example/evp", .key = secret(key)};
    in.states = std::move(states);
    in.services = std::move(services);
    const auto saved = run(b_->hooks.put(name, std::move(in)));
    ASSERT_TRUE(saved) << saved.error().message();
  }
  hook_view view(const std::string& name = "a") { return run(b_->hooks.get(name)).value(); }
  std::string finish(upload_state s = upload_state::verified, const std::string& service = "default", bool get = false,
                     verification verify = verification::head) {
    auto u = new_upload(service);
    u.is_get = get;
    u.verify = verify;
    EXPECT_TRUE(run(b_->ledger.issue(u)).value());
    EXPECT_TRUE(run(b_->ledger.settle({.grant_id = u.grant_id, .state = s})));
    return u.grant_id;
  }
  void pump(milliseconds d = milliseconds(100)) { EXPECT_TRUE(run(io::sleep_for(d))); }
  template <class F>
  void wait_until(F holds) {
    const auto end = std::chrono::steady_clock::now() + seconds(60);
    while (!holds() && std::chrono::steady_clock::now() < end) pump(milliseconds(20));
    EXPECT_TRUE(holds());
  }
  /// Lets the clock jump, and the workers see it (they wait in real time).
  void advance(milliseconds d) {
    clock_.advance(d);
    hook("waker", {"expired"});
  }
  std::vector<std::string> bodies(const std::string& name = "a") const {
    std::vector<std::string> out;
    for (const auto& r : network_.sent)
      if (r.url.reveal() == "https://" + name + ".example/evp") out.push_back(std::get<std::string>(r.body));
    return out;
  }

  int status_ = 200;
  std::string retry_after_;
  std::set<std::string> hanging_;
};

TEST_F(hooks_test, a_finished_upload_is_told_once_and_signed) {
  hook("a");
  const auto grant = finish();
  wait_until([&] { return view().delivered == 1; });
  ASSERT_EQ(network_.sent.size(), 1u);
  const auto& r = network_.sent[0];
  EXPECT_EQ(r.method, "POST");
  const auto id = grant + ".2";
  EXPECT_EQ(std::get<std::string>(r.body), "a " + id + " verified");
  EXPECT_EQ(http::find(r.fields, "X-OpenEVP-Delivery"), id);
  const std::string at(http::find(r.fields, "X-OpenEVP-Timestamp"));
  EXPECT_EQ(at, "1795371410");
  EXPECT_EQ(http::find(r.fields, "X-OpenEVP-Signature"),
            "v1=" + to_hex(hmac_sha256(key, at + ".a " + id + " verified")));
  EXPECT_EQ(view().pending, 0u);
  EXPECT_TRUE(view().delivered_at);
}

TEST_F(hooks_test, only_what_ends_an_upload_of_a_file_is_told) {
  hook("a");
  finish(upload_state::uploaded);                                                          // will be checked yet
  finish(upload_state::verified, "default", true);                                         // a download
  const auto word = finish(upload_state::uploaded, "default", false, verification::none);  // all that it becomes
  const auto late = finish(upload_state::expired);
  EXPECT_TRUE(run(b_->ledger.settle({.grant_id = late, .state = upload_state::verified})));
  EXPECT_FALSE(run(b_->ledger.settle({.grant_id = late, .state = upload_state::failed})).value());
  wait_until([&] { return view().delivered == 3; });
  pump();
  EXPECT_THAT(bodies(), testing::UnorderedElementsAre("a " + word + ".6 uploaded", "a " + late + ".8 expired",
                                                      "a " + late + ".9 verified"));
}

TEST_F(hooks_test, filters_choose_by_service_and_state) {
  hook("a", {"failed", "expired"}, {"x", "y"});
  finish(upload_state::verified, "x");
  finish(upload_state::failed, "default");
  finish(upload_state::failed, "xy");
  const auto told = finish(upload_state::failed, "y");
  wait_until([&] { return view().delivered == 1; });
  pump();
  EXPECT_THAT(bodies(), ElementsAre("a " + told + ".8 failed"));
}

TEST_F(hooks_test, a_refused_delivery_is_repeated_with_the_same_id_until_it_arrives) {
  hook("a");
  status_ = 500;
  finish();
  wait_until([&] { return bodies().size() == 1 && view().last_error; });
  EXPECT_EQ(view().pending, 1u);
  EXPECT_THAT(view().last_error->text, HasSubstr("HTTP status 500"));
  pump();
  EXPECT_EQ(bodies().size(), 1u);  // not before its time
  status_ = 204;
  advance(seconds(1));
  wait_until([&] { return view().delivered == 1; });
  ASSERT_EQ(bodies().size(), 2u);
  EXPECT_EQ(bodies()[0], bodies()[1]);
  EXPECT_EQ(view().pending, 0u);
}

TEST_F(hooks_test, retry_after_is_heeded) {
  hook("a");
  status_ = 429;
  retry_after_ = "120";
  finish();
  wait_until([&] { return view().last_error.has_value(); });
  status_ = 200;
  advance(seconds(110));
  pump();
  EXPECT_EQ(bodies().size(), 1u);
  advance(seconds(10));
  wait_until([&] { return view().delivered == 1; });
}

TEST_F(hooks_test, after_a_day_a_delivery_is_given_up_and_the_reason_stays_to_be_seen) {
  hook("a");
  status_ = 503;
  finish();
  wait_until([&] { return view().last_error.has_value(); });
  advance(std::chrono::hours(24) - seconds(1));
  wait_until([&] { return bodies().size() >= 2; });
  pump();
  EXPECT_EQ(view().given_up, 0u);
  advance(seconds(601));
  wait_until([&] { return view().given_up == 1; });
  EXPECT_EQ(view().pending, 0u);
  EXPECT_THAT(view().last_given_up->text, HasSubstr("HTTP status 503"));
  const auto tried = bodies().size();
  advance(std::chrono::hours(2));
  pump();
  EXPECT_EQ(bodies().size(), tried);
}

TEST_F(hooks_test, a_dead_receiver_holds_up_no_other) {
  hook("a");
  hook("b");
  hanging_.insert("https://a.example/evp");
  for (int i = 0; i < 20; ++i) finish();
  wait_until([&] { return view("b").delivered == 20; });
  EXPECT_EQ(view("a").pending, 20u);
  wait_until([&] { return bodies("a").size() >= delivery_limits{}.parallel; });
  pump();
  EXPECT_EQ(bodies("a").size(), delivery_limits{}.parallel);
}

TEST_F(hooks_test, one_delivery_that_hangs_does_not_hold_up_the_next_to_the_same_receiver) {
  hook("a");
  hanging_.insert("https://a.example/evp");
  finish();
  wait_until([&] { return bodies().size() == 1; });
  hanging_.clear();
  finish();
  wait_until([&] { return view().delivered == 1; });
  EXPECT_EQ(view().pending, 1u);
}

TEST_F(hooks_test, what_was_not_delivered_survives_a_restart_and_goes_under_the_same_id) {
  hook("a");
  status_ = 500;
  finish();
  wait_until([&] { return view().last_error.has_value(); });
  reopen();
  EXPECT_EQ(view().pending, 1u);
  status_ = 200;
  advance(seconds(1));
  wait_until([&] { return view().delivered == 1; });
  EXPECT_EQ(bodies().front(), bodies().back());
}

TEST_F(hooks_test, a_replaced_hook_keeps_what_waits_and_a_removed_one_drops_it) {
  hook("a");
  status_ = 500;
  finish();
  wait_until([&] { return view().last_error.has_value(); });
  hook("a", {"failed"});
  EXPECT_EQ(view().pending, 1u);
  EXPECT_THAT(view().states, ElementsAre("failed"));
  ASSERT_TRUE(run(b_->hooks.remove("a")));
  EXPECT_EQ(run(b_->hooks.get("a")).error().code(), errc::not_found);
  EXPECT_EQ(run(b_->hooks.remove("a")).error().code(), errc::not_found);
  hook("a");
  EXPECT_EQ(view().pending, 0u);
}

TEST_F(hooks_test, a_wrong_hook_is_refused_at_its_field_and_not_stored) {
  const hook_input good{.url = "https://a.example/evp", .key = secret(key)};
  const auto field = [&](auto change, const std::string& name = "a") {
    auto in = good;
    change(in);
    const auto saved = run(b_->hooks.put(name, std::move(in)));
    return saved ? std::string() : saved.error().field();
  };
  EXPECT_EQ(field([](auto& h) { h.url = "http://a.example/evp"; }), "url");
  EXPECT_EQ(field([](auto& h) { h.url = "https://169.254.169.254/"; }), "url");
  EXPECT_EQ(field([](auto& h) { h.url = "https://user@a.example/"; }), "url");
  EXPECT_EQ(field([](auto& h) { h.key = secret("short"); }), "secret");
  EXPECT_EQ(field([](auto& h) { h.certificate = "no pem"; }), "certificate");
  EXPECT_EQ(field([](auto& h) { h.services = {"a/b"}; }), "services");
  EXPECT_EQ(field([](auto& h) { h.states = {"issued"}; }), "states");
  EXPECT_EQ(field([](auto&) {}, "../a"), "name");
  EXPECT_TRUE(run(b_->hooks.list()).value().empty());
  for (std::size_t i = 0; i < hooks::max_hooks; ++i) hook("h" + std::to_string(i));
  EXPECT_EQ(run(b_->hooks.put("more", good)).error().code(), errc::too_large);
}

}  // namespace
}  // namespace evp::backend
