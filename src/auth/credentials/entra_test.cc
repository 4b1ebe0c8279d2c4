#include "auth/credentials/entra.h"

#include <gmock/gmock.h>
#include <openssl/x509.h>

#include "auth/credentials/test_jwt.h"
#include "auth/credentials/test_transport.h"
#include "auth/jwt.h"
#include "base/test_rsa_key.h"
#include "io/test_folder.h"

namespace evp::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view workload_token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";

/// A certificate for the key, signed by itself.
std::string certificate_of(const test_rsa_key& key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_mem_buf(key.private_pem.data(), -1), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair(
      PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x(X509_new(), X509_free);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 3600);
  X509_set_pubkey(x.get(), pair.get());
  X509_sign(x.get(), pair.get(), EVP_sha256());
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_X509(out.get(), x.get());
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, std::size_t(size)};
}

/// Entra ID's token endpoint: it takes exactly the fields that its documentation names.
struct entra_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  inline static const test_rsa_key key = test_rsa_key::make();
  std::function<bool(std::map<std::string, std::string>)> believes = [](auto) { return false; };
  test_transport net{[this](const http::request& r) {
    auto f = form_of(r);
    if (r.url.reveal() != "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token" || r.method != "POST" ||
        f["grant_type"] != "client_credentials" || f["scope"] != "https://storage.azure.com/.default" ||
        f["client_id"] != "app-1")
      return answered(400, R"({"error":"invalid_request"})");
    if (!believes(f)) return answered(401, R"({"error":"invalid_client","error_description":"AADSTS7000215: no"})");
    return answered(200, R"({"token_type":"Bearer","expires_in":3599,"access_token":"entra-token"})");
  }};
  entra_application app{.tenant_id = "tenant-1", .client_id = "app-1"};
};

TEST_F(entra_test, a_client_secret_gives_a_token) {
  believes = [](auto f) { return f["client_secret"] == "s~cret+&=" && f.size() == 4; };
  const auto got = fetched(*make_entra_secret(net, clock, app, secret("s~cret+&=")));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->value.reveal(), "entra-token");
  EXPECT_EQ(got->expires_at, clock.now() + seconds(3599));
}

TEST_F(entra_test, a_wrong_secret_is_unauthenticated_with_microsofts_number) {
  const auto r = fetched(*make_entra_secret(net, clock, app, secret("wrong-secret")));
  EXPECT_EQ(r.error().code(), errc::unauthenticated);
  EXPECT_THAT(r.error().message(), HasSubstr("AADSTS7000215"));
  EXPECT_THAT(r.error().message(), Not(HasSubstr("wrong-secret")));
}

TEST_F(entra_test, a_certificate_signs_an_assertion_that_names_it_and_lives_minutes) {
  const auto certificate = certificate_of(key);
  believes = [&](auto f) {
    const auto jwt = open_jwt(f["client_assertion"], key.public_pem);
    if (!jwt || f["client_assertion_type"] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer") return false;
    const auto now = clock.now().time_since_epoch().count() / 1000;
    return jwt->header.at("x5t").as_string().c_str() == *certificate_thumbprint(certificate) &&
           jwt->claims.at("aud") == "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token" &&
           jwt->claims.at("iss") == "app-1" && jwt->claims.at("sub") == "app-1" &&
           jwt->claims.at("jti").as_string().size() >= 16 && jwt->claims.at("nbf").as_int64() <= now &&
           jwt->claims.at("exp").as_int64() <= now + 600;
  };
  auto parsed = entra_certificate::parse(secret(certificate + key.private_pem));
  ASSERT_TRUE(parsed) << parsed.error().message();
  const auto from = make_entra_certificate(net, clock, app, *parsed);
  EXPECT_TRUE(fetched(*from));
  const auto first = form_of(net.last())["client_assertion"];
  EXPECT_TRUE(fetched(*from));
  EXPECT_NE(form_of(net.last())["client_assertion"], first) << "an assertion is for one use";
}

TEST_F(entra_test, another_applications_key_is_not_believed) {
  const auto other = test_rsa_key::make();
  believes = [&](auto f) { return open_jwt(f["client_assertion"], key.public_pem).has_value(); };
  const auto from = make_entra_certificate(
      net, clock, app, *entra_certificate::parse(secret(other.private_pem + certificate_of(other))));
  EXPECT_EQ(fetched(*from).error().code(), errc::unauthenticated);
}

TEST_F(entra_test, a_certificate_needs_both_of_its_halves) {
  EXPECT_FALSE(entra_certificate::parse(secret(key.private_pem)));
  EXPECT_FALSE(entra_certificate::parse(secret(certificate_of(key))));
  EXPECT_FALSE(entra_certificate::parse(secret("x")));
}

TEST_F(entra_test, a_workload_identity_passes_the_platforms_token_on) {
  io::temporary_folder folder;
  const auto file = folder.path() / "azure-identity-token";
  ASSERT_TRUE(io::write_file_durably(file, workload_token));
  believes = [](auto f) { return f["client_assertion"] == workload_token; };
  EXPECT_TRUE(fetched(*make_entra_workload(net, clock, app, token_folders({folder.path()}), file)));
  EXPECT_EQ(fetched(*make_entra_workload(net, clock, app, token_folders(), file)).error().code(),
            errc::invalid_argument);
}

TEST_F(entra_test, ids_that_would_change_the_url_are_refused) {
  EXPECT_TRUE(check_application(app));
  for (const auto* bad : {"", "a/b", "..", "a?b", "a b", "../other"}) {
    auto wrong = app;
    wrong.tenant_id = bad;
    EXPECT_EQ(check_application(wrong).error().field(), "tenantId") << bad;
  }
  app.client_id = "";
  EXPECT_EQ(check_application(app).error().field(), "clientId");
}

}  // namespace
}  // namespace evp::auth
