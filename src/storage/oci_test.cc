// The OCI driver's conversation with Oracle: what it asks for, and what it makes of answers that it did not expect.
#include <gmock/gmock.h>

#include "auth/credentials/test_transport.h"
#include "base/test_rsa_key.h"
#include "storage/driver.h"

namespace evp::storage {
namespace {

using auth::answered;
using testing::HasSubstr;
using testing::Not;

struct oci_test : testing::Test {
  inline static const test_rsa_key key = test_rsa_key::make();
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  std::string uri = "/p/token123/n/ns/b/my-fleet/o/cam/a%20b.jpg";
  int status = 200;
  std::string refusal;
  auth::test_transport net{[this](const http::request&) {
    if (status != 200) return answered(status, refusal);
    return answered(200, R"({"id":"par-1","accessUri":")" + uri + "\"}");
  }};
  std::unique_ptr<driver> oci = make({}).value();

  result<std::unique_ptr<driver>> make(std::map<std::string, std::string> more) {
    std::map<std::string, std::string> given{
        {"region", "eu-frankfurt-1"},   {"namespace", "ns"},
        {"bucket", "my-fleet"},         {"tenancy", "ocid1.tenancy.oc1..a"},
        {"user", "ocid1.user.oc1..a"},  {"fingerprint", "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"},
        {"privateKey", key.private_pem}};
    for (const auto& [name, value] : more) given[name] = value;
    option_values values;
    for (const auto& [name, value] : given) values.set(name, secret(value), true);
    TRY(auto made, (*find_driver_type("OCI"))->make(values, driver_context{net, clock}));
    return std::move(made.instance);
  }
  template <class T>
  T run(io::task<T> t) {
    io::asio::io_context ctx;
    return http::run(ctx, std::move(t));
  }
  result<signed_request> sign(operation op = operation::put) {
    sign_spec s;
    s.op = op;
    s.object = "cam/a b.jpg";
    return run(oci->sign(std::move(s)));
  }
};

TEST_F(oci_test, a_grant_is_a_pre_authenticated_request_for_one_object_method_and_time) {
  const auto put = sign();
  ASSERT_TRUE(put) << put.error().message();
  EXPECT_EQ(put->method, "PUT");
  EXPECT_EQ(put->url.reveal(), "https://objectstorage.eu-frankfurt-1.oraclecloud.com" + uri);
  EXPECT_EQ(put->expires_at, clock.now() + seconds(120));
  EXPECT_EQ(net.last().url.reveal(), "https://objectstorage.eu-frankfurt-1.oraclecloud.com/n/ns/b/my-fleet/p");
  const auto body = auth::body_of(net.last());
  EXPECT_THAT(body, HasSubstr(R"("objectName":"cam/a b.jpg","accessType":"ObjectWrite")"));
  EXPECT_THAT(body, HasSubstr(R"("timeExpires":"2026-11-22T18:02:00Z")"));
  EXPECT_THAT(std::string(http::find(net.last().fields, "Authorization")),
              HasSubstr("keyId=\"ocid1.tenancy.oc1..a/ocid1.user.oc1..a/20:3b:"));
  EXPECT_EQ(sign(operation::get)->method, "GET");
  EXPECT_THAT(auth::body_of(net.last()), HasSubstr("ObjectRead"));
}

TEST_F(oci_test, an_access_uri_that_leads_elsewhere_is_no_grant) {
  for (const auto* bad : {"", "/o/x", "/p/", "/p//n/ns", "//evil.example/p/t/n/", "@evil.example/p/t/n/x",
                          "https://evil.example/p/t/n/x", "/p/t/n/a b", "/p/t/x/n/y"}) {
    uri = bad;
    const auto g = sign();
    ASSERT_FALSE(g) << bad;
    EXPECT_EQ(g.error().code(), errc::unavailable) << bad;
  }
}

TEST_F(oci_test, a_refusal_says_what_a_person_must_do) {
  status = 401;
  refusal = R"({"code":"NotAuthenticated","message":"x"})";
  EXPECT_EQ(sign().error().code(), errc::unauthenticated);
  EXPECT_THAT(sign().error().message(), HasSubstr("clock"));
  status = 404;
  refusal = R"({"code":"NotAuthorizedOrNotFound","message":"x"})";
  EXPECT_EQ(sign().error().code(), errc::permission_denied);
  EXPECT_THAT(sign().error().message(), HasSubstr("policy"));
  EXPECT_THAT(sign().error().message(), Not(HasSubstr("://")));
  status = 429;
  EXPECT_EQ(sign().error().code(), errc::rate_limited);
}

TEST_F(oci_test, a_retired_driver_signs_no_more) {
  oci->retire();
  EXPECT_EQ(sign().error().code(), errc::failed_precondition);
  EXPECT_EQ(run(oci->sign_part({}, "id", {})).error().code(), errc::failed_precondition);
  EXPECT_TRUE(net.seen.empty());
}

TEST_F(oci_test, an_id_that_is_not_ours_is_no_upload) {
  for (const auto* id : {"", "00", "not hex", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}) {
    EXPECT_EQ(run(oci->list_parts("x", id)).error().code(), errc::not_found) << id;
    EXPECT_EQ(run(oci->abort_parts("x", id)).error().code(), errc::not_found) << id;
  }
  EXPECT_TRUE(net.seen.empty());
}

TEST_F(oci_test, the_option_that_is_wrong_is_named) {
  const auto field = [&](std::map<std::string, std::string> more) {
    const auto made = make(std::move(more));
    return made ? "accepted" : made.error().field();
  };
  EXPECT_EQ(field({{"region", ""}}), "region");
  EXPECT_EQ(field({{"namespace", "a/b"}}), "namespace");
  EXPECT_EQ(field({{"tenancy", "ocid1.user.oc1..a"}}), "tenancy");
  EXPECT_EQ(field({{"user", "me"}}), "user");
  EXPECT_EQ(field({{"user", "ocid1.user.oc1..a\"b"}}), "user");
  EXPECT_EQ(field({{"fingerprint", "20:3b"}}), "fingerprint");
  EXPECT_EQ(field({{"privateKey", "-----BEGIN"}}), "privateKey");
  EXPECT_EQ(field({{"compartment", "fleet"}}), "compartment");
  EXPECT_EQ(field({{"endpoint", "https://x.example/n"}}), "endpoint");
}

}  // namespace
}  // namespace evp::storage
