#include "base/crypto.h"

#include <gmock/gmock.h>

#include "base/encoding.h"

namespace evp {
namespace {

TEST(hashes, match_published_vectors) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(md5("abc")), "900150983cd24fb0d6963f7d28e17f72");
  // RFC 4231, test cases 2 and 6
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(hmac, an_empty_key_is_not_the_previous_key) {
  const auto expected = hmac_sha256("", "x");
  hmac_sha256("other", "x");
  EXPECT_EQ(hmac_sha256("", "x"), expected);
  EXPECT_NE(expected, hmac_sha256("other", "x"));
}

TEST(sha256_streams, do_not_depend_on_how_the_bytes_are_cut_and_start_anew) {
  sha256_stream s;
  s.update("a");
  s.update("bc");
  EXPECT_EQ(s.finish(), sha256("abc"));
  EXPECT_EQ(s.finish(), sha256(""));
}

TEST(sealing, opens_only_with_the_same_key_and_context) {
  const secret key(random_bytes(32)), other(random_bytes(32));
  auto sealed = aes256gcm_seal(key, "secret", "row 1");
  EXPECT_EQ(sealed.find("secret"), sealed.npos);
  EXPECT_EQ(aes256gcm_open(key, sealed, "row 1")->reveal(), "secret");
  EXPECT_EQ(aes256gcm_open(key, aes256gcm_seal(key, "", "c"), "c")->reveal(), "");
  EXPECT_EQ(aes256gcm_open(key, sealed, "row 2").error().code(), errc::data_corrupt);
  EXPECT_EQ(aes256gcm_open(other, sealed, "row 1").error().code(), errc::data_corrupt);
  sealed[14] ^= 1;
  EXPECT_EQ(aes256gcm_open(key, sealed, "row 1").error().code(), errc::data_corrupt);
  EXPECT_FALSE(aes256gcm_open(key, "short", "row 1"));
}

TEST(md5_stream_test, pieces_hash_like_the_whole_and_the_stream_starts_anew) {
  md5_stream s;
  s.update("ab");
  s.update("c");
  EXPECT_EQ(s.finish(), md5("abc"));
  EXPECT_EQ(s.finish(), md5(""));
}

TEST(random_ids, have_the_length_asked_for_and_differ) {
  EXPECT_EQ(random_id(10).size(), 10u);
  EXPECT_NE(random_id(), random_id());
}

TEST(pem, refuses_text_without_a_certificate) {
  EXPECT_FALSE(check_pem_certificates("hello"));
  EXPECT_FALSE(check_pem_certificates("-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n"));
}

}  // namespace
}  // namespace evp
