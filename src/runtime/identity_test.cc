// The device's identity against a backend that the test plays: lost answers, refusals, and the time of renewal.
#include "runtime/identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

#include "base/device_key.h"
#include "base/x509.h"
#include "http/test_run.h"
#include "io/test_folder.h"
#include "wire/json.h"

namespace evp::runtime {
namespace {

/// Issues as the real one does.
struct backend_double final : http::transport {
  explicit backend_double(const io::clock& c) : clock(c) {}
  const io::clock& clock;
  certificate_authority ca =
      certificate_authority::load(certificate_authority::make("OpenEVP devices", clock.now())).value();
  std::optional<error> network;
  bool loses_answers = false;
  int refuses_with = 0;
  std::vector<std::string> keys, paths;

  io::task<result<http::response>> send(http::request r) override {
    if (network) co_return fail(*network);
    http::response out;
    out.status = 201;
    const auto& url = r.url.reveal();
    paths.push_back(url.substr(url.find("/v1/")));
    if (refuses_with != 0) {
      out.status = refuses_with;
      out.body = R"({"error":{"code":"unauthenticated","message":"this token is none of ours"}})";
      co_return out;
    }
    const auto body = wire::parse_json_object(std::get<std::string>(r.body), 1 << 20).value();
    const wire::json_reader fields(body);
    const auto csr = fields.text("csr").value();
    if (paths.back() == "/v1/enroll/renew") {
      auto who = ca.identify(fields.text("certificate").value(), csr, fields.text("signature").value(), clock.now());
      if (!who || who->common_name != "cam-1") out.status = 401;
    }
    const auto request = signing_request::parse(csr).value();
    keys.push_back(request.key_sha256());
    if (loses_answers) co_return fail(errc::unavailable, "the connection was cut");
    const auto made = ca.issue(request, "cam-1", std::chrono::hours(24 * 300), clock.now()).value();
    boost::json::object o{{"id", "cam-1"}, {"username", "cam-1"}, {"certificate", made.pem}};
    out.body = boost::json::serialize(o);
    co_return out;
  }
};

struct identity_test : testing::Test {
  identity_test() { EXPECT_TRUE(io::write_file_durably(options().token_file, "evpenrol_x\n", 0600)); }
  identity_options options() const {
    identity_options o;
    o.url = "https://backend.example";
    o.token_file = folder.path() / "token";
    o.folder = folder.path() / "identity";
    return o;
  }
  template <class T>
  T run(io::task<T> t) {
    return http::run(ctx, std::move(t));
  }
  std::string stored() { return io::read_file(me.file(), 1 << 20).value_or(""); }

  io::temporary_folder folder;
  io::asio::io_context ctx;
  io::manual_clock clock{timestamp(seconds(1'795'371'410))};
  backend_double backend{clock};
  device_identity me{backend, clock, options()};
};

TEST_F(identity_test, a_device_without_a_certificate_gets_one_for_a_key_of_its_own) {
  ASSERT_TRUE(run(me.enrol()));
  const auto key = device_key::load(secret(stored())).value();
  EXPECT_EQ(signing_request::parse(key.request().value())->key_sha256(), backend.keys.at(0));
  EXPECT_TRUE(validity_of(stored()));
  struct stat st {};
  ASSERT_EQ(::stat(me.file().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_FALSE(io::fs::exists(options().folder / "pending.key"));
}

TEST_F(identity_test, one_that_has_a_certificate_asks_nobody) {
  ASSERT_TRUE(run(me.enrol()));
  ASSERT_TRUE(run(me.enrol()));
  EXPECT_EQ(backend.keys.size(), 1u);
}

TEST_F(identity_test, an_attempt_whose_answer_was_lost_is_made_again_with_the_same_key) {
  backend.loses_answers = true;
  EXPECT_FALSE(run(me.enrol()));
  backend.loses_answers = false;
  device_identity after_a_restart(backend, clock, options());
  ASSERT_TRUE(run(after_a_restart.enrol()));
  ASSERT_EQ(backend.keys.size(), 2u);
  EXPECT_EQ(backend.keys[0], backend.keys[1]);
}

TEST_F(identity_test, a_refusal_ends_it_with_the_backends_words) {
  backend.refuses_with = 401;
  const auto r = run(me.enrol_with_patience());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code(), errc::unauthenticated);
  EXPECT_NE(r.error().message().find("none of ours"), std::string::npos);
  EXPECT_FALSE(me.exists());
}

TEST_F(identity_test, a_certificate_is_renewed_when_two_thirds_of_its_life_are_over) {
  ASSERT_TRUE(run(me.enrol()));
  const auto first = stored();
  clock.advance(std::chrono::hours(24 * 199));
  EXPECT_FALSE(run(me.renew_if_due()).value());
  EXPECT_EQ(stored(), first);
  clock.advance(std::chrono::hours(24 * 2));
  const auto renewed = run(me.renew_if_due());
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_TRUE(*renewed);
  EXPECT_NE(stored(), first);
  EXPECT_EQ(backend.paths.back(), "/v1/enroll/renew");
  EXPECT_NE(backend.keys[0], backend.keys[1]);
  EXPECT_FALSE(run(me.renew_if_due()).value());
}

TEST_F(identity_test, a_renewal_that_fails_leaves_what_there_was) {
  ASSERT_TRUE(run(me.enrol()));
  const auto first = stored();
  clock.advance(std::chrono::hours(24 * 250));
  backend.network = error(errc::unavailable, "no network");
  EXPECT_FALSE(run(me.renew_if_due()));
  backend.network.reset();
  backend.loses_answers = true;
  EXPECT_FALSE(run(me.renew_if_due()));
  EXPECT_EQ(stored(), first);
}

TEST_F(identity_test, without_its_token_file_it_says_which_one) {
  io::fs::remove(options().token_file);
  const auto r = run(me.enrol());
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message().find(options().token_file.string()), std::string::npos);
}

/// The key is in memory here: what a token holds is used in the same way (base/token_key_test.cc).
struct token_identity_test : identity_test {
  identity_options on_token(const device_key& key) const {
    auto o = options();
    o.key = key;
    return o;
  }
  const device_key key = device_key::make();
  device_identity with_token{backend, clock, on_token(key)};
};

TEST_F(token_identity_test, a_key_on_a_token_is_in_no_file_and_stays_when_the_certificate_is_renewed) {
  backend.loses_answers = true;
  EXPECT_FALSE(run(with_token.enrol()));
  backend.loses_answers = false;
  ASSERT_TRUE(run(with_token.enrol()));
  const auto first = stored();
  EXPECT_TRUE(key.is_of(first).value());
  clock.advance(std::chrono::hours(24 * 201));
  const auto renewed = run(with_token.renew_if_due());
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_TRUE(*renewed);
  EXPECT_NE(stored(), first);
  EXPECT_TRUE(key.is_of(stored()).value());
  EXPECT_FALSE(run(with_token.renew_if_due()).value());
  EXPECT_EQ(std::set<std::string>(backend.keys.begin(), backend.keys.end()).size(), 1u);
  for (const auto& f : io::fs::directory_iterator(options().folder))
    EXPECT_EQ(io::read_file(f.path(), 1 << 20)->find("PRIVATE"), std::string::npos) << f.path();
}

TEST_F(token_identity_test, a_certificate_of_another_key_is_not_taken_for_its_own) {
  ASSERT_TRUE(run(with_token.enrol()));
  EXPECT_TRUE(run(with_token.enrol()));
  device_identity other(backend, clock, on_token(device_key::make()));
  const auto wrong = run(other.enrol());
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), errc::failed_precondition);
  EXPECT_NE(wrong.error().message().find(me.file().string() + " is the certificate of another key"), std::string::npos);
  const auto without = run(me.enrol());
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message().find("has no key"), std::string::npos);
}

TEST_F(token_identity_test, a_private_key_from_before_the_token_is_pointed_out) {
  ASSERT_TRUE(run(me.enrol()));
  const auto r = run(with_token.enrol());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code(), errc::failed_precondition);
  EXPECT_NE(r.error().message().find("has a private key"), std::string::npos);
}

}  // namespace
}  // namespace evp::runtime
