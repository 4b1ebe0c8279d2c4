// Lists of revoked certificates: those of an issuer that is known are understood, and all others refused with the
// reason.
#include "base/revocation_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/certificate_id.h"
#include "base/encoding.h"
#include "base/test_revocation_list.h"

namespace evp {
namespace {

using testing::HasSubstr;

const timestamp now{seconds(1'795'371'410)};
constexpr auto day = std::chrono::hours(24);

struct revocation_list_test : testing::Test {
  list_issuer issuer{"Fleet CA", now}, other{"Other CA", now}, impostor{"Fleet CA", now};
  std::string trusted = other.certificate() + issuer.certificate();

  std::string refusal(const std::string& bytes) {
    const auto r = revocation_list::parse(bytes, trusted);
    EXPECT_FALSE(r);
    return r ? "" : r.error().message();
  }
  std::string refusal_with(int nid, const char* value) {
    return refusal(issuer.list({1}, now, now + day, [&](X509_CRL* crl) {
      X509V3_CTX context;
      X509V3_set_ctx(&context, nullptr, nullptr, nullptr, crl, 0);
      X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
      ASSERT_NE(e, nullptr);
      X509_CRL_add_ext(crl, e, -1);
      X509_EXTENSION_free(e);
    }));
  }
};

TEST_F(revocation_list_test, names_the_certificates_that_its_issuer_has_revoked) {
  const auto list = revocation_list::parse(issuer.list({7, 4'000'000'000}, now, now + day), trusted);
  ASSERT_TRUE(list) << list.error().message();
  EXPECT_EQ(list->issuer, "CN=Fleet CA");
  EXPECT_EQ(list->this_update, now);
  EXPECT_EQ(list->next_update, now + day);
  const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> seven(ASN1_INTEGER_new(), ASN1_INTEGER_free);
  ASN1_INTEGER_set(seven.get(), 7);
  EXPECT_EQ(list->ids.size(), 2u);
  EXPECT_TRUE(list->ids.contains(certificate_id(issuer.name(), seven.get())));
}

TEST_F(revocation_list_test, an_empty_one_is_a_list_too) {
  EXPECT_TRUE(revocation_list::parse(issuer.list({}, now, now + day), trusted)->ids.empty());
}

TEST_F(revocation_list_test, der_is_the_same) {
  const auto pem = issuer.list({7}, now, now + day);
  auto text = pem.substr(pem.find('\n') + 1, pem.find("-----END") - pem.find('\n') - 1);
  std::erase(text, '\n');
  const auto list = revocation_list::parse(from_base64(text).value(), trusted);
  ASSERT_TRUE(list) << list.error().message();
  EXPECT_EQ(list->ids, revocation_list::parse(pem, trusted)->ids);
}

TEST_F(revocation_list_test, who_has_not_signed_it_revokes_nothing) {
  EXPECT_THAT(refusal(impostor.list({7}, now, now + day)), HasSubstr("signature"));
  EXPECT_THAT(refusal(issuer.list({7}, now, now + day, {}, other.key())), HasSubstr("signature"));
  trusted = other.certificate();
  EXPECT_THAT(refusal(issuer.list({7}, now, now + day)), HasSubstr("issuer is none of those"));
  trusted = "";
  EXPECT_THAT(refusal(issuer.list({7}, now, now + day)), HasSubstr("issuer is none of those"));
}

TEST_F(revocation_list_test, what_is_not_understood_is_not_used) {
  EXPECT_THAT(refusal_with(NID_delta_crl, "critical,DER:020101"), HasSubstr("delta"));
  EXPECT_THAT(refusal_with(NID_issuing_distribution_point, "critical,indirectCRL:TRUE"), HasSubstr("indirect"));
  EXPECT_THAT(refusal_with(NID_subject_alt_name, "critical,DNS:x"), HasSubstr("critical extension"));
}

TEST_F(revocation_list_test, what_is_no_list_is_refused) {
  const auto pem = issuer.list({7}, now, now + day);
  for (const auto& bad : {std::string(), std::string("x"), pem.substr(0, pem.size() / 2), issuer.certificate(),
                          std::string(1000, '\0'), "\x30\x84\xff\xff\xff\xff" + std::string(100, 'x')})
    EXPECT_THAT(refusal(bad), HasSubstr("no certificate revocation list"));
  EXPECT_THAT(refusal(pem + other.list({7}, now, now + day)), HasSubstr("several"));
}

}  // namespace
}  // namespace evp
