// The devices' authority: what it issues verifies as a TLS client's, whatever the request claims to be.
#include "base/x509.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/certificate_id.h"
#include "base/encoding.h"

namespace evp {
namespace {

const timestamp now = std::chrono::floor<milliseconds>(std::chrono::system_clock::now());

struct openssl_key {
  explicit openssl_key(EVP_PKEY* k) : key(k, EVP_PKEY_free) {}
  std::shared_ptr<EVP_PKEY> key;

  std::string request(const char* subject = "somebody-else", EVP_PKEY* signer = nullptr) const {
    std::shared_ptr<X509_REQ> r(X509_REQ_new(), X509_REQ_free);
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(r.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(subject), -1, -1, 0);
    X509_REQ_set_pubkey(r.get(), key.get());
    X509_REQ_sign(r.get(), signer ? signer : key.get(), EVP_sha256());
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_REQ(out, r.get());
    char* bytes = nullptr;
    const auto size = BIO_get_mem_data(out, &bytes);
    std::string text(bytes, std::size_t(size));
    BIO_free(out);
    return text;
  }
};

std::shared_ptr<X509> certificate(const std::string& pem) {
  BIO* in = BIO_new_mem_buf(pem.data(), int(pem.size()));
  std::shared_ptr<X509> out(PEM_read_bio_X509(in, nullptr, nullptr, nullptr), X509_free);
  BIO_free(in);
  return out;
}

struct x509 : testing::Test {
  certificate_authority ca = certificate_authority::load(certificate_authority::make("OpenEVP devices", now)).value();
  openssl_key key{EVP_EC_gen("P-256")};

  bool verifies(const std::string& pem, const std::string& root) {
    std::shared_ptr<X509_STORE> store(X509_STORE_new(), X509_STORE_free);
    const auto trusted = certificate(root), leaf = certificate(pem);
    X509_STORE_add_cert(store.get(), trusted.get());
    std::shared_ptr<X509_STORE_CTX> c(X509_STORE_CTX_new(), X509_STORE_CTX_free);
    X509_STORE_CTX_init(c.get(), store.get(), leaf.get(), nullptr);
    X509_STORE_CTX_set_purpose(c.get(), X509_PURPOSE_SSL_CLIENT);
    return X509_verify_cert(c.get()) == 1;
  }
};

TEST_F(x509, what_is_issued_is_a_tls_clients_of_that_name_and_key) {
  const auto made = ca.issue(signing_request::parse(key.request()).value(), "cam-1", std::chrono::hours(24), now);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(verifies(made->pem, ca.certificate()));
  const auto c = certificate(made->pem);
  char name[128] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(c.get()), NID_commonName, name, sizeof name);
  EXPECT_STREQ(name, "cam-1");
  EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(c.get())), 1);
  EXPECT_EQ(EVP_PKEY_eq(X509_get0_pubkey(c.get()), key.key.get()), 1);
  EXPECT_EQ(X509_check_purpose(c.get(), X509_PURPOSE_SSL_SERVER, 0), 0);
  EXPECT_EQ(X509_check_ca(c.get()), 0);
}

std::string signed_by(const openssl_key& k, const std::string& text) {
  std::shared_ptr<EVP_MD_CTX> c(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestSignInit(c.get(), nullptr, EVP_sha256(), nullptr, k.key.get());
  std::size_t size = 0;
  EVP_DigestSign(c.get(), nullptr, &size, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  std::string out(size, '\0');
  EVP_DigestSign(c.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                 reinterpret_cast<const unsigned char*>(text.data()), text.size());
  out.resize(size);
  return to_base64(out);
}

TEST_F(x509, only_who_has_its_key_is_a_certificates_holder) {
  const auto made = ca.issue(signing_request::parse(key.request()).value(), "acme:cam-1", std::chrono::hours(24), now);
  const auto who = ca.identify(made->pem, "text", signed_by(key, "text"), now);
  ASSERT_TRUE(who) << who.error().message();
  EXPECT_EQ(who->common_name, "acme:cam-1");
  EXPECT_EQ(who->serial, made->serial);
  const openssl_key thief(EVP_EC_gen("P-256"));
  EXPECT_FALSE(ca.identify(made->pem, "text", signed_by(thief, "text"), now));
  EXPECT_FALSE(ca.identify(made->pem, "other text", signed_by(key, "text"), now));
  EXPECT_FALSE(ca.identify(made->pem, "text", "", now));
  EXPECT_FALSE(ca.identify(made->pem, "text", signed_by(key, "text"), now + std::chrono::hours(25)));
  EXPECT_FALSE(ca.identify("no pem", "text", signed_by(key, "text"), now));
  const auto other = certificate_authority::load(certificate_authority::make("OpenEVP devices", now)).value();
  EXPECT_FALSE(other.identify(made->pem, "text", signed_by(key, "text"), now));
}

TEST_F(x509, another_authority_does_not_vouch_for_it) {
  const auto other = certificate_authority::load(certificate_authority::make("OpenEVP devices", now)).value();
  const auto made = ca.issue(signing_request::parse(key.request()).value(), "cam-1", std::chrono::hours(24), now);
  EXPECT_FALSE(verifies(made->pem, other.certificate()));
}

TEST_F(x509, it_ends_with_its_lifetime) {
  const auto made = ca.issue(signing_request::parse(key.request()).value(), "cam-1", std::chrono::hours(2),
                             now - std::chrono::hours(3));
  EXPECT_FALSE(verifies(made->pem, ca.certificate()));
}

TEST_F(x509, serial_numbers_are_long_and_differ) {
  const auto r = signing_request::parse(key.request()).value();
  const auto a = ca.issue(r, "a", std::chrono::hours(1), now), b = ca.issue(r, "a", std::chrono::hours(1), now);
  EXPECT_EQ(a->serial.size(), 32u);
  EXPECT_NE(a->serial, b->serial);
}

TEST_F(x509, a_request_that_does_not_have_the_key_is_refused) {
  const openssl_key other(EVP_EC_gen("P-256"));
  EXPECT_FALSE(signing_request::parse(key.request("x", other.key.get())));
}

TEST_F(x509, a_certificate_is_recognized_by_its_authority_while_it_is_good) {
  const auto pem = ca.issue(signing_request::parse(key.request()).value(), "cam-1", std::chrono::hours(24), now)->pem;
  const auto der = [](const std::string& text) {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(certificate(text).get(), &bytes);
    std::string out(reinterpret_cast<char*>(bytes), std::size_t(size));
    OPENSSL_free(bytes);
    return out;
  };
  const auto who = ca.recognize(der(pem), now);
  ASSERT_TRUE(who) << who.error().message();
  EXPECT_EQ(who->common_name, "cam-1");
  EXPECT_EQ(ca.id_of(who->serial).value(), certificate_id(certificate(pem).get()));
  EXPECT_FALSE(ca.recognize(der(pem), now + std::chrono::hours(25)));
  const auto other = certificate_authority::load(certificate_authority::make("OpenEVP devices", now)).value();
  EXPECT_FALSE(other.recognize(der(pem), now));
  for (const std::string bad : {std::string(), std::string("x"), der(pem).substr(0, 100)})
    EXPECT_EQ(ca.recognize(bad, now).error().code(), errc::unauthenticated);
}

TEST_F(x509, weak_or_unknown_keys_are_refused) {
  EXPECT_FALSE(signing_request::parse(openssl_key(EVP_RSA_gen(1024)).request()));
  EXPECT_FALSE(signing_request::parse(openssl_key(EVP_EC_gen("P-521")).request()));
  EXPECT_TRUE(signing_request::parse(openssl_key(EVP_EC_gen("P-384")).request()));
  EXPECT_TRUE(signing_request::parse(openssl_key(EVP_RSA_gen(2048)).request()));
}

TEST_F(x509, other_text_is_refused_with_the_way_to_make_one) {
  for (const std::string bad :
       {"", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "MIIB",
        ca.certificate().c_str()}) {
    const auto r = signing_request::parse(bad);
    ASSERT_FALSE(r) << bad;
    EXPECT_NE(r.error().message().find("openssl req"), std::string::npos);
  }
}

TEST_F(x509, the_base64_of_est_is_the_same_request) {
  auto pem = key.request();
  const auto begin = pem.find('\n') + 1, end = pem.find("-----END");
  const auto a = signing_request::parse(pem).value(),
             b = signing_request::parse(pem.substr(begin, end - begin)).value();
  EXPECT_EQ(a.key_sha256(), b.key_sha256());
}

TEST_F(x509, a_name_too_long_for_a_certificate_is_refused) {
  const auto r = signing_request::parse(key.request()).value();
  EXPECT_TRUE(ca.issue(r, std::string(64, 'a'), std::chrono::hours(1), now));
  EXPECT_FALSE(ca.issue(r, std::string(65, 'a'), std::chrono::hours(1), now));
}

TEST_F(x509, certificates_alone_come_as_pkcs7) {
  EXPECT_TRUE(certificate_authority::as_pkcs7(ca.certificate()));
  EXPECT_FALSE(certificate_authority::as_pkcs7("no pem"));
}

}  // namespace
}  // namespace evp
