// Keys on a token in software: what a URI says, who signs, and what is said when it cannot be opened.
#include "base/token_key.h"

#include <gmock/gmock.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/pem.h"
#include "base/softhsm.h"
#include "base/x509.h"

namespace evp {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(token_uri, says_which_key_and_where_its_pin_and_module_are) {
  const auto p = parse_token_uri(
      "pkcs11:token=my%20token;object=device;type=private?pin-source=file:/etc/evp/pin&module-path=/usr/lib/m.so");
  ASSERT_TRUE(p) << p.error().message();
  EXPECT_EQ(p->uri, "pkcs11:token=my%20token;object=device;type=private");
  EXPECT_EQ(p->token, "my token");
  EXPECT_EQ(p->object, "device");
  EXPECT_EQ(p->pin_file, "/etc/evp/pin");
  EXPECT_EQ(p->module, "/usr/lib/m.so");
  EXPECT_EQ(parse_token_uri("pkcs11:id=%01?pin-source=file:///etc/pin")->pin_file, "/etc/pin");
  EXPECT_EQ(parse_token_uri("pkcs11:id=%01?pin-source=/etc/pin")->pin_file, "/etc/pin");
  EXPECT_EQ(parse_token_uri("pkcs11:id=%01")->module, "");
}

TEST(token_uri, a_pin_in_it_is_refused_and_not_repeated) {
  for (const char* uri : {"pkcs11:object=o?pin-value=271828", "pkcs11:object=o;pin-value=271828",
                          "pkcs11:object=o?module-path=/m.so&pin-value=271828"}) {
    const auto p = parse_token_uri(uri);
    ASSERT_FALSE(p) << uri;
    EXPECT_EQ(p.error().code(), errc::invalid_argument);
    EXPECT_THAT(p.error().message(), HasSubstr("pin-source=file:"));
    EXPECT_THAT(p.error().message(), Not(HasSubstr("271828")));
  }
}

TEST(token_uri, what_is_none_is_refused) {
  for (const char* uri : {"", "/etc/evp/device.key", "pkcs11:", "pkcs11:token=t", "pkcs11:object", "pkcs11:object=%4",
                          "pkcs11:object=o?pin-source=|cat", "pkcs11:object=o?pin-source=pin",
                          "pkcs11:object=o?pin-source=file://host/pin", "pkcs11:object=o?vendor=1"})
    EXPECT_EQ(parse_token_uri(uri).error().code(), errc::invalid_argument) << uri;
}

struct token_key_test : testing::Test {
  static softhsm& token() {
    static softhsm one;
    static const bool once = [] {
      one.make_key("device", "EC:prime256v1", "01");
      return true;
    }();
    (void)once;
    return one;
  }
  static result<device_key> open(const std::string& object, const std::string& pin = softhsm::pin,
                                 const std::string& module = softhsm::module) {
    auto place = parse_token_uri(token().uri(object) + "?module-path=" + module).value();
    return open_token_key(place, secret(pin));
  }
};

TEST_F(token_key_test, a_key_signs_requests_and_texts_without_leaving_the_token) {
  token().make_key("old", "rsa:2048", "02");
  for (const char* object : {"device", "old"}) {
    const auto key = open(object);
    ASSERT_TRUE(key) << key.error().message();
    const auto csr = key->request();
    ASSERT_TRUE(csr) << csr.error().message();
    ASSERT_TRUE(signing_request::parse(*csr)) << object;  // verifies its signature
    auto ca = certificate_authority::load(certificate_authority::make("ca", timestamp(seconds(1'800'000'000)))).value();
    const auto now = timestamp(seconds(1'800'000'060));
    const auto made = ca.issue(signing_request::parse(*csr).value(), "cam-1", std::chrono::hours(24), now).value();
    EXPECT_TRUE(key->is_of(made.pem).value());
    EXPECT_FALSE(device_key::make().is_of(made.pem).value());
    EXPECT_EQ(ca.identify(made.pem, "text", key->sign("text").value(), now)->common_name, "cam-1");
    EXPECT_FALSE(ca.identify(made.pem, "text", key->sign("texT").value(), now));
  }
}

/// In a process of its own: the module and the login stay for a process's life. It ends without a look for leaks: the
/// engine leaves some when it could not open a key.
void says_why(const std::string& object, const std::string& pin, const std::string& module = softhsm::module) {
  const auto key = token_key_test::open(object, pin, module);
  const auto text = key ? "opened" : std::string(to_string(key.error().code())) + ": " + key.error().message();
  std::fprintf(stderr, "%s\n", text.c_str());
  token_key_test::token().remove();
  std::_Exit(key || (!pin.empty() && text.find(pin) != std::string::npos) ? 1 : 0);
}

struct token_key_death_test : token_key_test {
  token_key_death_test() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  const testing::ExitedWithCode told{0};
};

TEST_F(token_key_death_test, a_wrong_pin_is_named_as_such_and_not_repeated) {
  EXPECT_EXIT(says_why("device", "999999"), told, "invalid_argument: .*does not take the PIN");
}

TEST_F(token_key_death_test, a_missing_pin_is_thought_of) {
  EXPECT_EXIT(says_why("device", ""), told, "not_found: .*or it wants a PIN .*pin-source");
}

TEST_F(token_key_death_test, a_missing_key_says_how_one_is_made) {
  EXPECT_EXIT(says_why("nobody", softhsm::pin), told,
              "not_found: pkcs11:token=openevp;object=nobody;.* no such key on it\\. Make the key: pkcs11-tool .*"
              "--token-label 'openevp' --keypairgen .*--label 'nobody'");
}

TEST_F(token_key_death_test, a_missing_module_is_named_as_such) {
  EXPECT_EXIT(says_why("device", softhsm::pin, "/nonexistent/module.so"), told,
              "failed_precondition: .*module cannot be loaded");
}

}  // namespace
}  // namespace evp
