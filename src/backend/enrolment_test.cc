// Enrolment: whose a certificate is, is the token's to say; a token that was used, lost, stolen or repeated.
#include "backend/enrolment.h"

#include "backend/test_world.h"
#include "base/device_key.h"

namespace evp::backend {
namespace {

struct enrolment_test : world {
  enrolment_test() {
    has_authority_ = true;
    reopen();
  }
  /// Of a key of its own.
  static std::string request() { return device_key::make().request().value(); }
  created_enrolment_token token(std::optional<std::string> device = {}, std::uint64_t uses = 1,
                                std::string tenant = {}) {
    return run(b_->enrolment.create_token(std::move(tenant), std::move(device), uses, std::chrono::hours(1))).value();
  }
  result<enrolled_device> enrol(const secret& t, std::string csr, std::optional<std::string> id = {}) {
    return run(b_->enrolment.enrol(t, std::move(csr), std::move(id)));
  }
};

TEST_F(enrolment_test, the_token_says_who_it_is) {
  const auto made = enrol(token("cam-1").text, request());
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->device, "cam-1");
  EXPECT_TRUE(b_->devices.exists("cam-1"));
  EXPECT_EQ(b_->devices.count().devices, 1u);
  reopen();
  EXPECT_TRUE(b_->devices.check_active("cam-1"));
  EXPECT_EQ(run(b_->enrolment.certificates("cam-1"))->at(0).serial, made->certificate.serial);
}

TEST_F(enrolment_test, an_enrolled_device_has_no_token_that_could_be_guessed) {
  ASSERT_TRUE(enrol(token("cam-1").text, request()));
  EXPECT_EQ(b_->devices.all_credentials()[0].token_sha256, "");
  EXPECT_FALSE(b_->devices.token_matches("cam-1", secret("")));
}

TEST_F(enrolment_test, a_token_is_good_for_one_key_which_may_ask_again) {
  const auto t = token("cam-1");
  const auto csr = request();
  ASSERT_TRUE(enrol(t.text, csr));
  EXPECT_EQ(enrol(t.text, csr)->device, "cam-1");  // the answer was lost
  EXPECT_EQ(enrol(t.text, request()).error().code(), errc::unauthenticated);
  EXPECT_EQ(b_->devices.count().devices, 1u);
}

TEST_F(enrolment_test, a_fleets_token_enrols_so_many_new_devices_and_none_that_exists) {
  add_device("cam-1");
  const auto t = token({}, 2);
  const auto taken = enrol(t.text, request(), "cam-1");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), errc::already_exists);
  EXPECT_EQ(enrol(t.text, request(), "cam-2")->device, "cam-2");
  EXPECT_EQ(enrol(t.text, request(), "cam-2").error().code(), errc::already_exists);
  EXPECT_TRUE(enrol(t.text, request())->device.starts_with("device-"));
  EXPECT_EQ(enrol(t.text, request(), "cam-4").error().code(), errc::unauthenticated);
}

TEST_F(enrolment_test, a_device_of_a_tenant_stays_in_it) {
  ASSERT_TRUE(run(b_->access.create_tenant("acme")));
  EXPECT_EQ(enrol(token({}, 2, "acme").text, request(), "cam-1")->device, "acme:cam-1");
  EXPECT_EQ(enrol(token({}, 2, "acme").text, request(), "other:cam-1").error().field(), "id");
  EXPECT_TRUE(run(b_->enrolment.list_tokens(""))->empty());
  EXPECT_EQ(run(b_->enrolment.list_tokens("acme"))->size(), 2u);
}

TEST_F(enrolment_test, tokens_that_are_none_have_expired_or_were_deleted_are_refused_alike) {
  const auto late = token("cam-1"), deleted = token("cam-2");
  ASSERT_TRUE(run(b_->enrolment.remove_token("", deleted.token.id)));
  clock_.advance(std::chrono::hours(1));
  std::string message;
  for (const auto& t : {late.text, deleted.text, secret("evpenrol_x"), secret("")}) {
    const auto r = enrol(t, request());
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code(), errc::unauthenticated);
    if (message.empty()) message = r.error().message();
    EXPECT_EQ(r.error().message(), message);
  }
}

TEST_F(enrolment_test, a_bad_request_uses_nothing_up_and_tells_strangers_nothing) {
  const auto t = token("cam-1");
  EXPECT_EQ(enrol(t.text, "no request").error().field(), "csr");
  EXPECT_EQ(enrol(secret("evpenrol_x"), "no request").error().code(), errc::unauthenticated);
  EXPECT_EQ(enrol(t.text, request(), "cam-7").error().field(), "id");
  EXPECT_TRUE(enrol(t.text, request()));
}

TEST_F(enrolment_test, a_certificate_is_renewed_by_who_has_its_key_only) {
  const auto key = device_key::make(), thief = device_key::make();
  const auto first = enrol(token("cam-1").text, key.request().value()).value().certificate.pem;
  const auto fresh = device_key::make().request().value();
  const auto renew = [&](const std::string& certificate, const std::string& signature) {
    return run(b_->enrolment.renew(certificate, fresh, signature));
  };
  EXPECT_EQ(renew(first, thief.sign(fresh).value()).error().code(), errc::unauthenticated);
  EXPECT_EQ(renew(first, "").error().code(), errc::unauthenticated);
  const auto second = renew(first, key.sign(fresh).value());
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(second->device, "cam-1");
  EXPECT_EQ(run(b_->enrolment.certificates("cam-1"))->size(), 2u);

  ASSERT_TRUE(run(b_->devices.block("cam-1")));
  EXPECT_EQ(renew(first, key.sign(fresh).value()).error().code(), errc::permission_denied);
  ASSERT_TRUE(run(b_->devices.remove("cam-1")));
  add_device("cam-1");  // another one of that name
  EXPECT_EQ(renew(first, key.sign(fresh).value()).error().code(), errc::unauthenticated);
}

TEST_F(enrolment_test, certificates_of_one_device_have_a_bound_that_time_lifts) {
  const auto key = device_key::make();
  const auto first = enrol(token("cam-1").text, key.request().value()).value().certificate.pem;
  const auto renew = [&] {
    const auto csr = device_key::make().request().value();
    return run(b_->enrolment.renew(first, csr, key.sign(csr).value()));
  };
  for (std::size_t i = 1; i < enrolment::max_certificates; ++i) ASSERT_TRUE(renew());
  EXPECT_EQ(renew().error().code(), errc::rate_limited);
  EXPECT_EQ(run(b_->enrolment.certificates("cam-1"))->size(), enrolment::max_certificates);
  clock_.advance(enrolment::certificate_lifetime + std::chrono::hours(1));
  EXPECT_TRUE(enrol(token("cam-1").text, key.request().value()));
}

TEST_F(enrolment_test, the_authority_is_the_same_after_a_restart_and_its_key_is_not_on_disk) {
  const auto before = b_->enrolment.authority_certificate();
  reopen();
  EXPECT_EQ(b_->enrolment.authority_certificate(), before);
  close();
  for (const auto* name : {"backend.db", "backend.db-wal"})
    EXPECT_EQ(io::read_file(folder_.path() / name, 1 << 26).value_or("").find("PRIVATE KEY"), std::string::npos);
}

TEST_F(enrolment_test, without_an_authority_nothing_is_issued) {
  has_authority_ = false;
  reopen();
  EXPECT_EQ(run(b_->enrolment.create_token("", "cam-1", 1, std::chrono::hours(1))).error().code(),
            errc::failed_precondition);
  EXPECT_EQ(enrol(secret("evpenrol_x"), request()).error().code(), errc::failed_precondition);
}

TEST_F(enrolment_test, bounds_of_tokens_are_refused_at_their_fields) {
  const auto field = [&](std::optional<std::string> device, std::uint64_t uses, milliseconds lifetime) {
    const auto r = run(b_->enrolment.create_token("", std::move(device), uses, lifetime));
    return r ? "" : r.error().field();
  };
  EXPECT_EQ(field("../x", 1, std::chrono::hours(1)), "device");
  EXPECT_EQ(field("cam-1", 2, std::chrono::hours(1)), "uses");
  EXPECT_EQ(field({}, 0, std::chrono::hours(1)), "uses");
  EXPECT_EQ(field({}, 1, std::chrono::hours(24 * 400)), "expirationDuration");
}

}  // namespace
}  // namespace evp::backend
