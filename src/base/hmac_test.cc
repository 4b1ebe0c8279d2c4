#include "base/hmac.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp {
namespace {

// RFC 2202 (SHA-1) and RFC 4231 (SHA-2), test cases 2 and 6: a short key and one longer than a block.
TEST(hmac_test, the_rfcs_examples_come_out) {
  const std::string_view question = "what do ya want for nothing?",
                         large = "Test Using Larger Than Block-Size Key - Hash Key First";
  EXPECT_EQ(to_hex(hmac(hash::sha1, "Jefe", question)), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(to_hex(hmac(hash::sha256, "Jefe", question)),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(
      to_hex(hmac(hash::sha512, "Jefe", question)),
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b"
      "636e070a38bce737");
  EXPECT_EQ(to_hex(hmac(hash::sha1, std::string(80, '\xaa'), large)), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
  EXPECT_EQ(to_hex(hmac(hash::sha256, std::string(131, '\xaa'), large)),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(
      to_hex(hmac(hash::sha512, std::string(131, '\xaa'), large)),
      "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec"
      "8b915a985d786598");
}

TEST(hmac_test, a_key_signs_again_and_as_openssls_own_mac_does) {
  for (std::size_t length = 0; length < 200; length += 7) {
    const auto text = random_bytes(length), bytes = random_bytes(length % 131);
    const hmac_key key(hash::sha256, bytes);
    EXPECT_EQ(key.sign(text), hmac_sha256(bytes, text)) << length;
    EXPECT_EQ(hmac_key(key).sign(text), key.sign(text));
  }
}

TEST(hmac_test, digests_are_those_of_the_standards) {
  EXPECT_EQ(to_hex(digest(hash::sha1, "abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(digest(hash::sha256, "abc"), sha256("abc"));
  EXPECT_EQ(to_hex(digest(hash::sha512, "abc")).substr(0, 16), "ddaf35a193617aba");
}

}  // namespace
}  // namespace evp
