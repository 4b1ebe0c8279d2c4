#include "auth/azure_shared_key.h"

#include <gmock/gmock.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/hmac.h"

namespace evp::auth {
namespace {

signable_request list_request() {
  signable_request r;
  r.path = "/mycontainer";
  r.query = {{"restype", "container"}, {"comp", "metadata"}, {"timeout", "20"}};
  r.fields = {{"x-ms-version", "2015-02-21"}, {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}};
  return r;
}

TEST(azure_shared_key_test, what_is_signed_is_what_the_documentation_says) {
  EXPECT_EQ(azure_shared_key_text("myaccount", list_request(), 0),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
            "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
}

TEST(azure_shared_key_test, a_body_counts_by_its_length_and_type) {
  auto r = list_request();
  r.method = "PUT";
  r.fields.push_back({"Content-Type", "application/xml"});
  EXPECT_THAT(azure_shared_key_text("a", r, 12),
              testing::StartsWith("PUT\n\n\n12\n\napplication/xml\n\n\n\n\n\n\nx-ms"));
}

TEST(azure_shared_key_test, the_request_carries_its_time_its_version_and_the_signature_of_both) {
  const auto by = *azure_sas_signer::make("acct", secret(to_base64("key")));
  signable_request r;
  r.path = "/c";
  sign_azure_shared_key(by, r, 0, *parse_rfc3339("2015-06-26T23:39:12.900Z"));
  EXPECT_EQ(http::find(r.fields, "x-ms-date"), "Fri, 26 Jun 2015 23:39:12 GMT");
  EXPECT_EQ(http::find(r.fields, "x-ms-version"), azure_sas_version);
  const auto unsigned_fields = http::headers(r.fields.begin(), r.fields.end() - 1);
  auto text_of = r;
  text_of.fields = unsigned_fields;
  EXPECT_EQ(http::find(r.fields, "Authorization"),
            "SharedKey acct:" + to_base64(hmac_sha256("key", azure_shared_key_text("acct", text_of, 0))));
}

}  // namespace
}  // namespace evp::auth
