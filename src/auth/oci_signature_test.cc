#include "auth/oci_signature.h"

#include <gmock/gmock.h>

#include "base/encoding.h"
#include "base/test_rsa_key.h"

namespace evp::auth {
namespace {

// The test values of Oracle's page. Their key is one of 1,024 bits, which we would not sign with, so what is compared
// is the text that is signed and the field that is sent. (Their date names a wrong day of the week.)
constexpr const char* published_key_id =
    "ocid1.tenancy.oc1..aaaaaaaaba3pv6wkcr4jqae5f15p2b2m2yt2j6rx32uzr4h25vqstifsfdsq/"
    "ocid1.user.oc1..aaaaaaaat5nvwcna5j6aqzjcaty5eqbb6qt2jvpkanghtgdaqedqw3rynjq/"
    "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34";
constexpr const char* published_date = "Thu, 05 Jan 2014 21:31:40 GMT";
constexpr const char* get_target =
    "/20160918/instances?availabilityDomain=Pjwf%3A%20PHX-AD-1"
    "&compartmentId=ocid1.compartment.oc1..aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa"
    "&displayName=TeamXInstances"
    "&volumeId=ocid1.volume.oc1.phx.abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q";
constexpr const char* get_signature =
    "GBas7grhyrhSKHP6AVIj/h5/Vp8bd/peM79H9Wv8kjoaCivujVXlpbKLjMPeDUhxkFIWtTtLBj3sUzaFj34XE6YZAHc9r2DmE4pMwOAy/"
    "kiITcZxa1oHPOeRheC0jP2dqbTll8fmTZVwKZOKHYPtrLJIJQHJjNvxFWeHQjMaR7M=";
constexpr const char* post_body =
    "{\n"
    "    \"compartmentId\": \"ocid1.compartment.oc1..aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa\",\n"
    "    \"instanceId\": \"ocid1.instance.oc1.phx.abuw4ljrlsfiqw6vzzxb43vyypt4pkodawglp3wqxjqofakrwvou52gb6s5a\",\n"
    "    \"volumeId\": \"ocid1.volume.oc1.phx.abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q\"\n"
    "}";
constexpr const char* post_signature =
    "Mje8vIDPlwIHmD/cTDwRxE7HaAvBg16JnVcsuqaNRim23fFPgQfLoOOxae6WqKb1uPjYEl0qIdazWaBy/Ml8DRhqlocMwoSXv0fbukP8J5N80LC"
    "mzT/FFBvIvTB91XuXI3hYfP9Zt1l7S6ieVadHUfqBedWH0itrtPJBgKmrWso=";

http::headers published_fields(const oci_request& r) {
  auto fields = oci_signer::signed_fields(r, *parse_rfc3339("2014-01-05T21:31:40Z"));
  EXPECT_EQ(fields.at(0).value, "Sun, 05 Jan 2014 21:31:40 GMT");
  fields.at(0).value = published_date;
  return fields;
}
TEST(oci_signature, a_get_is_signed_as_in_oracles_example) {
  const oci_request r{"GET", "iaas.us-phoenix-1.oraclecloud.com", get_target, {}};
  const auto fields = published_fields(r);
  EXPECT_EQ(oci_signer::string_to_sign(fields),
            std::string("date: Thu, 05 Jan 2014 21:31:40 GMT\n(request-target): get ") + get_target +
                "\nhost: iaas.us-phoenix-1.oraclecloud.com");
  EXPECT_EQ(oci_signer::authorization(published_key_id, fields, get_signature),
            std::string("Signature version=\"1\",headers=\"date (request-target) host\",keyId=\"") + published_key_id +
                "\",algorithm=\"rsa-sha256\",signature=\"" + get_signature + "\"");
}

TEST(oci_signature, a_post_is_signed_with_its_body_as_in_oracles_example) {
  const oci_request r{"POST", "iaas.us-phoenix-1.oraclecloud.com", "/20160918/volumeAttachments", post_body};
  const auto fields = published_fields(r);
  EXPECT_EQ(oci_signer::string_to_sign(fields),
            "date: Thu, 05 Jan 2014 21:31:40 GMT\n"
            "(request-target): post /20160918/volumeAttachments\n"
            "host: iaas.us-phoenix-1.oraclecloud.com\n"
            "content-length: 316\n"
            "content-type: application/json\n"
            "x-content-sha256: V9Z20UJTvkvpJ50flBzKE32+6m2zJjweHpDMX/U4Uy0=");
  EXPECT_THAT(
      oci_signer::authorization(published_key_id, fields, post_signature),
      testing::HasSubstr("headers=\"date (request-target) host content-length content-type x-content-sha256\""));
}

TEST(oci_signature, what_is_sent_is_what_was_signed_and_no_more) {
  const auto key = test_rsa_key::make();
  const oci_signer signer("t/u/f", *rsa_private_key::parse(secret(key.private_pem)));
  const auto now = *parse_rfc3339("2026-11-22T18:00:00.9Z");
  const oci_request r{"POST", "h.example", "/n/ns/b", "{}"};
  const auto sent = signer.sign(r, now);
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_EQ(http::find(sent, "date"), "Sun, 22 Nov 2026 18:00:00 GMT");
  EXPECT_EQ(http::find(sent, "content-type"), "application/json");
  const auto given = http::find(sent, "Authorization");
  const auto begin = given.find("signature=\"") + 11;
  const auto text = oci_signer::string_to_sign(oci_signer::signed_fields(r, now));
  EXPECT_TRUE(*rsa_verify_sha256(key.public_pem, text, *from_base64(given.substr(begin, given.size() - begin - 1))));
  EXPECT_EQ(signer.sign({"GET", "h.example", "/", {}}, now).size(), 2u);
}

}  // namespace
}  // namespace evp::auth
