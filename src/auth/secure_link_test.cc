#include "auth/secure_link.h"

#include <gtest/gtest.h>

namespace evp::auth {
namespace {

// The MD5 was computed with Python's hashlib over what nginx would put together.
TEST(secure_link_test, the_decoded_path_is_signed_and_the_encoded_one_is_sent) {
  const timestamp expires_at(seconds(1798826833));
  EXPECT_EQ(sign_secure_link(secret("topsecret"), "PUT", "https://files.example.com", "/signed/a b/ü.jpg", expires_at)
                .reveal(),
            "https://files.example.com/signed/a%20b/%C3%BC.jpg?md5=-YmqBTmTMfeXCFZhUM6I9w&expires=1798826833");
}

TEST(secure_link_test, another_method_path_expiry_or_secret_gives_another_signature) {
  const timestamp t(seconds(1798826833));
  const auto sign = [](const char* word, const char* method, const char* path, timestamp at) {
    const auto url = sign_secure_link(secret(word), method, "http://h", path, at).reveal();
    return url.substr(url.find("md5="), 26);
  };
  const auto right = sign("topsecret", "PUT", "/a", t);
  EXPECT_NE(right, sign("topsecret", "GET", "/a", t));
  EXPECT_NE(right, sign("topsecret", "PUT", "/b", t));
  EXPECT_NE(right, sign("topsecret", "PUT", "/a", t + seconds(1)));
  EXPECT_NE(right, sign("topsecreT", "PUT", "/a", t));
}

}  // namespace
}  // namespace evp::auth
