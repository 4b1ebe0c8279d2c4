// Two certificates have one id exactly when issuer and serial number are the same, however the name is encoded.
#include "base/certificate_id.h"

#include <gtest/gtest.h>
#include <openssl/asn1.h>
#include <openssl/x509.h>

#include <memory>

namespace evp {
namespace {

std::string id_of(int type, const char* common_name, long serial, const char* organization = nullptr) {
  const std::unique_ptr<X509_NAME, decltype(&X509_NAME_free)> name(X509_NAME_new(), X509_NAME_free);
  const auto add = [&](const char* field, const char* text) {
    X509_NAME_add_entry_by_txt(name.get(), field, type, reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
  };
  if (organization) add("O", organization);
  add("CN", common_name);
  const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> number(ASN1_INTEGER_new(), ASN1_INTEGER_free);
  ASN1_INTEGER_set(number.get(), serial);
  return certificate_id(name.get(), number.get());
}

TEST(certificate_id, tells_issuers_and_serial_numbers_apart) {
  const auto id = id_of(V_ASN1_UTF8STRING, "CA", 7);
  EXPECT_EQ(id.size(), certificate_id_bytes);
  EXPECT_NE(id, id_of(V_ASN1_UTF8STRING, "CA", 8));
  EXPECT_NE(id, id_of(V_ASN1_UTF8STRING, "CA", -7));
  EXPECT_NE(id, id_of(V_ASN1_UTF8STRING, "CB", 7));
  EXPECT_NE(id, id_of(V_ASN1_UTF8STRING, "CA", 7, "Example"));
  EXPECT_NE(id_of(V_ASN1_UTF8STRING, "b,O=a", 7), id_of(V_ASN1_UTF8STRING, "b", 7, "a")) << "no text divides a name";
}

TEST(certificate_id, names_are_compared_as_rfc_5280_says) {
  const auto id = id_of(V_ASN1_UTF8STRING, "Fleet CA", 7);
  EXPECT_EQ(id, id_of(V_ASN1_PRINTABLESTRING, "Fleet CA", 7));
  EXPECT_EQ(id, id_of(V_ASN1_UTF8STRING, "fleet  ca", 7));
  EXPECT_NE(id, id_of(V_ASN1_UTF8STRING, "FleetCA", 7));
}

TEST(certificate_id, a_name_that_is_no_text_has_none) {
  const std::unique_ptr<X509_NAME, decltype(&X509_NAME_free)> empty(X509_NAME_new(), X509_NAME_free);
  const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> one(ASN1_INTEGER_new(), ASN1_INTEGER_free);
  ASN1_INTEGER_set(one.get(), 1);
  EXPECT_EQ(certificate_id(empty.get(), one.get()), "");
  const unsigned char odd[] = {0x04, 0x1f, 0x00};  // half a character
  X509_NAME_add_entry_by_NID(empty.get(), NID_commonName, V_ASN1_BMPSTRING, odd, 3, -1, 0);
  EXPECT_EQ(certificate_id(empty.get(), one.get()), "");
}

}  // namespace
}  // namespace evp
