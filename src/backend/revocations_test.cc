// Revocation of single certificates: what a revoked one cannot do any more, who hears of it, and when it is forgotten.
#include "backend/revocations.h"

#include "backend/test_replicas.h"
#include "base/device_key.h"
#include "base/encoding.h"

namespace evp::backend {
namespace {

struct certified : two_backends {
  certified() {
    has_authority_ = true;
    reopen();
  }
  struct holder {
    device_key key;
    std::string pem, serial;
  };
  holder enrol(const std::string& device = "cam-1", device_key key = device_key::make()) {
    const auto t = run(b_->enrolment.create_token("", device, 1, std::chrono::hours(1))).value().text;
    auto made = run(b_->enrolment.enrol(t, key.request().value(), {})).value().certificate;
    return {std::move(key), made.pem, made.serial};
  }
  result<enrolled_device> renew(const holder& h, std::string csr = device_key::make().request().value()) {
    return run(b_->enrolment.renew(h.pem, csr, h.key.sign(csr).value()));
  }
  result<revoked_device_certificate> revoke(const holder& h, const std::string& device = "cam-1") {
    return run(b_->enrolment.revoke(device, h.serial, {"admin", "127.0.0.1"}));
  }
  std::vector<sql::certificate_row> listed(const std::string& device = "cam-1") {
    return run(b_->enrolment.certificates(device)).value();
  }
};
using revocations_test = certified;

TEST_F(revocations_test, a_revoked_certificate_does_not_renew_and_the_others_of_its_device_go_on) {
  const auto stolen = enrol(), kept = enrol();
  const auto done = revoke(stolen);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(renew(stolen).error().code(), errc::permission_denied);
  EXPECT_TRUE(renew(kept));
  EXPECT_TRUE(b_->devices.check_active("cam-1"));
  for (const auto& row : listed()) EXPECT_EQ(row.revoked_at != 0, row.serial == stolen.serial) << row.serial;
}

TEST_F(revocations_test, the_broker_is_told_which_certificate_and_told_once) {
  const auto stolen = enrol();
  ASSERT_TRUE(revoke(stolen));
  ASSERT_EQ(gateway_.revoked.size(), 1u);
  EXPECT_EQ(b_->revocations.all(), std::vector(gateway_.revoked.begin(), gateway_.revoked.end()));
  const auto before = gateway_.calls.size();
  const auto again = revoke(stolen);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->certificate.revoked_at, listed().at(0).revoked_at);
  EXPECT_EQ(gateway_.calls.size(), before);
}

TEST_F(revocations_test, a_broker_that_is_away_is_no_failure_and_is_named) {
  const auto stolen = enrol();
  gateway_.failure = error(errc::unavailable, "the broker is away");
  const auto done = revoke(stolen);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->broker->message(), "the broker is away");
  EXPECT_EQ(b_->revocations.count(), 1u);  // so it is told when it is back
}

TEST_F(revocations_test, it_survives_a_restart) {
  ASSERT_TRUE(revoke(enrol()));
  const auto before = b_->revocations.all();
  reopen();
  EXPECT_EQ(b_->revocations.all(), before);
}

TEST_F(revocations_test, a_revoked_key_gets_no_other_certificate) {
  const auto key = device_key::make();
  const auto t = run(b_->enrolment.create_token("", "cam-1", 1, std::chrono::hours(1))).value().text;
  const auto csr = key.request().value();
  const auto serial = run(b_->enrolment.enrol(t, csr, {})).value().certificate.serial;
  const auto other = enrol();
  ASSERT_TRUE(run(b_->enrolment.revoke("cam-1", serial)));
  const auto repeated = run(b_->enrolment.enrol(t, csr, {}));
  ASSERT_FALSE(repeated) << "by the token that it was enrolled with";
  EXPECT_EQ(repeated.error().field(), "csr");
  EXPECT_EQ(renew(other, csr).error().field(), "csr");
}

TEST_F(revocations_test, certificates_of_others_are_not_there) {
  const auto mine = enrol("cam-1"), theirs = enrol("cam-2");
  EXPECT_EQ(revoke(theirs, "cam-1").error().code(), errc::not_found);
  for (const auto* serial : {"", "00", "main", "zz", "-1"})
    EXPECT_EQ(run(b_->enrolment.revoke("cam-1", serial)).error().code(), errc::not_found) << serial;
  EXPECT_EQ(b_->revocations.count(), 0u);
}

TEST_F(revocations_test, what_a_removed_device_had_admits_no_later_device_of_its_name) {
  const auto before = enrol("cam-1");
  ASSERT_TRUE(run(b_->remove_device("cam-1")));
  EXPECT_EQ(gateway_.revoked.size(), 1u);
  const auto after = enrol("cam-1", before.key);  // the key was not revoked: only the certificate
  EXPECT_EQ(renew(before).error().code(), errc::unauthenticated);
  EXPECT_TRUE(renew(after));
  EXPECT_EQ(b_->revocations.count(), 1u);
}

TEST_F(revocations_test, expired_ones_leave_the_list) {
  ASSERT_TRUE(revoke(enrol()));
  clock_.advance(enrolment::certificate_lifetime);
  ASSERT_TRUE(run(b_->revocations.refresh_all()));
  EXPECT_EQ(b_->revocations.count(), 1u) << "clocks of brokers may be behind";
  clock_.advance(revocations::kept_after_expiry + seconds(1));
  ASSERT_TRUE(run(b_->revocations.refresh_all()));
  EXPECT_EQ(b_->revocations.count(), 0u);
  EXPECT_TRUE(gateway_.revoked.empty());
  reopen();
  EXPECT_EQ(b_->revocations.count(), 0u);
}

TEST_F(revocations_test, revoked_ones_do_not_count_among_the_sixteen_that_are_good) {
  auto first = enrol();
  for (std::size_t i = 1; i < enrolment::max_certificates; ++i) ASSERT_TRUE(renew(first));
  ASSERT_EQ(renew(first).error().code(), errc::rate_limited);
  const auto rows = listed();
  const auto other = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.serial != first.serial; });
  ASSERT_TRUE(run(b_->enrolment.revoke("cam-1", other->serial)));
  EXPECT_TRUE(renew(first));
}

TEST_F(revocations_test, a_list_of_another_issuer_takes_the_place_of_what_it_had) {
  const std::string a(32, 'a'), b(32, 'b'), c(32, 'c');
  ASSERT_TRUE(run(b_->revocations.set_list("one", {a, b})));
  ASSERT_TRUE(run(b_->revocations.set_list("two", {b})));
  EXPECT_EQ(gateway_.revoked, (std::set{a, b}));
  ASSERT_TRUE(run(b_->revocations.set_list("one", {c})));
  EXPECT_EQ(gateway_.revoked, (std::set{b, c})) << "the other list still has b";
  ASSERT_TRUE(run(b_->revocations.refresh_all()));
  EXPECT_EQ(b_->revocations.count(), 2u);
  EXPECT_EQ(b_->revocations.all(b), std::vector{c});
}

struct shared_revocations_test : certified, testing::WithParamInterface<const char*> {
  void SetUp() override { open_both(sql::new_database(GetParam(), folder_.path())); }
};
INSTANTIATE_TEST_SUITE_P(, shared_revocations_test, sql::on_both, sql::name_of_database);

TEST_P(shared_revocations_test, another_backend_refuses_at_once_and_tells_its_broker_when_it_hears) {
  const auto stolen = enrol("cam-9");
  ASSERT_TRUE(revoke(stolen, "cam-9"));
  const auto csr = device_key::make().request().value();
  ASSERT_TRUE(run(other_->devices.refresh({"cam-9"})));
  EXPECT_EQ(run(other_->enrolment.renew(stolen.pem, csr, stolen.key.sign(csr).value())).error().code(),
            errc::permission_denied);
  std::set<std::string> heard;
  heard.insert(to_hex(b_->revocations.all().at(0)));
  ASSERT_TRUE(run(other_->revocations.refresh(std::move(heard))));
  EXPECT_EQ(other_->revocations.all(), b_->revocations.all());
}

}  // namespace
}  // namespace evp::backend
