#include "auth/tempurl.h"

#include <gtest/gtest.h>

namespace evp::auth {
namespace {

// The examples of https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html (key "mykey").
tempurl_request documented(std::int64_t expires) {
  tempurl_request r;
  r.origin = "https://swift.example.com";
  r.path = "/v1/AUTH_account/container/object";
  r.expires_at = timestamp(seconds(expires));
  return r;
}

TEST(tempurl_test, the_documented_signatures_come_out) {
  const tempurl_signer sha256(hash::sha256, secret("mykey")), sha512(hash::sha512, secret("mykey"));
  EXPECT_EQ(
      sha256.sign(documented(1512508563)).reveal(),
      "https://swift.example.com/v1/AUTH_account/container/object"
      "?temp_url_sig=732fcac368abb10c78a4cbe95c3fab7f311584532bf779abd5074e13cbe8b88b&temp_url_expires=1512508563");
  EXPECT_EQ(sha512.signature(documented(1516741234)),
            "sha512:ZrSijn0GyDhsv1ltIj9hWUTrbAeE45NcKXyBaz7aPbSMvROQ4jtYH4nRAmm5ErY2X11Yc1Yhy2OMCyN3yueeXg==");
  auto from_network = documented(1648082711);
  from_network.address_range = "1.2.3.0/24";
  EXPECT_EQ(sha256.signature(from_network), "6ff81256b8a3ba11d239da51a703b9c06a56ffddeb8caab74ca83af8f73c9c83");
  EXPECT_TRUE(sha256.sign(from_network).reveal().ends_with("&temp_url_ip_range=1.2.3.0%2F24"));
}

TEST(tempurl_test, one_prefix_signature_serves_all_objects_below_it) {
  const tempurl_signer signer(hash::sha1, secret("mykey"));
  auto a = documented(1512508563);
  a.path = "/v1/AUTH_account/container/";
  a.prefix = "dév 1/";
  EXPECT_TRUE(signer.query(a).reveal().ends_with("&temp_url_prefix=d%C3%A9v%201%2F"));
  auto b = a;
  b.prefix = "dév 2/";
  EXPECT_NE(signer.signature(a), signer.signature(b));
  b.prefix.clear();
  b.path += a.prefix;
  EXPECT_NE(signer.signature(a), signer.signature(b)) << "an object of that very name";
}

}  // namespace
}  // namespace evp::auth
