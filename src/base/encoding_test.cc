#include "base/encoding.h"

#include <gmock/gmock.h>

namespace evp {
namespace {

TEST(base64, writes_and_reads_the_vectors_of_rfc_4648) {
  const std::pair<std::string, std::string> vectors[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(to_base64(plain), text);
    EXPECT_EQ(from_base64(text).value(), plain);
  }
}

TEST(base64, refuses_what_is_not_canonical) {
  for (const auto* bad : {"Zg", "Zg=", "Zg==\n", "Zh==", "Zm9=", "=g==", "Zg==Zg==", "Z*==", "Zm-v", "===="})
    EXPECT_FALSE(from_base64(bad)) << bad;
}

TEST(base64url, pads_where_asked_to) {
  EXPECT_EQ(to_base64url("\xff\xfe"), "__4");
  EXPECT_EQ(to_base64url_padded("\xff\xfe"), "__4=");
}

TEST(hex, round_trips_and_refuses_odd_or_foreign_digits) {
  EXPECT_EQ(to_hex(std::string("\x00\xff\x10", 3)), "00ff10");
  EXPECT_EQ(from_hex("00Ff10").value(), std::string("\x00\xff\x10", 3));
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
}

TEST(text, is_trimmed_at_its_ends_and_lowered_in_ascii_alone) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(to_lower("aBZ[\xC3\x9C"), "abz[\xC3\x9C");
}

TEST(percent_encoding, keeps_only_unreserved_characters) {
  EXPECT_EQ(percent_encode("a/b c+~ü", true), "a/b%20c%2B~%C3%BC");
  EXPECT_EQ(percent_encode("a/b"), "a%2Fb");
  std::string grown = "x?";
  append_percent_encoded(grown, "%a b%");
  EXPECT_EQ(grown, "x?%25a%20b%25");
}

TEST(percent_decoding, needs_two_digits_after_each_percent_sign) {
  EXPECT_EQ(percent_decode("a%2Fb+%c3%bc").value(), "a/b+ü");
  EXPECT_EQ(percent_decode("%41").value(), "A");
  for (const auto* bad : {"%", "a%4", "%4x", "%%41"}) EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(utf8, accepts_well_formed_and_refuses_overlong_surrogates_and_cuts) {
  EXPECT_TRUE(is_utf8("写真 ü 😀"));
  for (const auto* bad : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe5\x86", "\x80", "\xff"}) EXPECT_FALSE(is_utf8(bad));
}

}  // namespace
}  // namespace evp
