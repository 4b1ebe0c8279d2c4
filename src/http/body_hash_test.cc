#include "http/body_hash.h"

#include <gtest/gtest.h>

namespace evp::http {
namespace {

std::string bytes_of(std::size_t length) {
  std::string out(length, '\0');
  std::uint32_t x = 1;
  for (char& c : out) c = char((x = x * 1664525 + 1013904223) >> 24);
  return out;
}

std::string hashed_in_pieces(const std::string& body, std::size_t piece) {
  body_hash h(body.size());
  for (std::size_t at = 0; at < body.size(); at += piece) h.update(std::string_view(body).substr(at, piece));
  return h.finish();
}

TEST(body_hash, is_the_sha256_of_all_pieces_whatever_their_size) {
  for (const std::size_t length : {0, 1, 100'000, 4 << 20, (4 << 20) + 1, (6 << 20) + 12'345}) {
    const auto body = bytes_of(length);
    const auto expected = sha256(body);
    for (const std::size_t piece : {4096, 65'536, 65'537, 262'144, 1 << 20, 8 << 20})
      EXPECT_EQ(hashed_in_pieces(body, piece), expected) << length << " bytes in pieces of " << piece;
  }
}

TEST(body_hash, of_a_body_that_is_shorter_than_was_said_is_that_of_what_was_given) {
  body_hash h(64 << 20);
  h.update("abc");
  EXPECT_EQ(h.finish(), sha256("abc"));
}

TEST(body_hash, ends_with_blocks_under_way_when_it_is_given_up) {
  const auto body = bytes_of(5 << 20);
  for (int i = 0; i < 50; ++i) {
    body_hash h(body.size());
    h.update(std::string_view(body).substr(0, std::size_t(i) * 100'000));
  }
}

}  // namespace
}  // namespace evp::http
