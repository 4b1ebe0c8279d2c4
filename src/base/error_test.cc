#include "base/error.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "base/secret.h"

namespace evp {
namespace {

template <class T>
concept printable = requires(std::ostream& out, const T& t) { out << t; };
static_assert(!printable<secret>);
static_assert(!std::is_convertible_v<secret, std::string_view>);

TEST(error_codes, have_names_that_read_back) {
  for (int i = 0; i <= int(errc::internal); ++i) {
    const auto code = static_cast<errc>(i);
    EXPECT_EQ(errc_from_string(to_string(code)), code);
    EXPECT_GE(http_status(code), 400);
  }
  EXPECT_FALSE(errc_from_string("no_such_code"));
}

TEST(errors, carry_field_message_and_wait) {
  const auto e = error(errc::rate_limited, "slow down").at("key").after(std::chrono::milliseconds(250)).during("grant");
  EXPECT_EQ(e.field(), "key");
  EXPECT_EQ(e.message(), "grant: slow down");
  EXPECT_EQ(e.retry_after(), std::chrono::milliseconds(250));
  EXPECT_TRUE(is_temporary(e.code()));
}

result<int> half(int n) {
  if (n % 2) return fail(errc::invalid_argument, "n", "odd");
  return n / 2;
}
result<int> quarter(int n) {
  TRY(const int h, half(n));
  return half(h);
}

TEST(try_macro, gives_the_value_or_leaves_with_the_error) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().field(), "n");
}

TEST(errno_errors, say_what_failed) {
  const auto e = errno_error(ENOENT, "open /x");
  EXPECT_EQ(e.code(), errc::not_found);
  EXPECT_EQ(e.message(), "open /x: No such file or directory");
}

TEST(secrets, compare_by_content_and_are_empty_after_a_move) {
  secret a("key");
  const secret b(std::move(a));
  EXPECT_TRUE(a.empty());
  EXPECT_TRUE(b == secret("key"));
  EXPECT_FALSE(b == secret("kez"));
}

}  // namespace
}  // namespace evp
