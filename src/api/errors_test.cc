// The error form, and that the catalogue for users says what the program does.
#include "api/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/files.h"

namespace evp::api {
namespace {

TEST(errors, have_one_form_with_a_field_where_there_is_one) {
  const auto with = error_answer(std::move(error(errc::invalid_argument, "say \"PT2M\"").at("expirationDuration")));
  EXPECT_EQ(with.status, 400);
  EXPECT_EQ(std::get<std::string>(with.body),
            "{\"error\":{\"code\":\"invalid_argument\",\"message\":\"say "
            "\\\"PT2M\\\"\",\"field\":\"expirationDuration\"}}\n");
  EXPECT_EQ(std::get<std::string>(error_answer(error(errc::internal, "x")).body),
            "{\"error\":{\"code\":\"internal\",\"message\":\"x\"}}\n");
}

TEST(errors, carry_what_http_asks_for) {
  EXPECT_THAT(http::find(error_answer(error(errc::unauthenticated, "x")).fields, "WWW-Authenticate"),
              testing::StartsWith("Bearer"));
  const auto busy = error_answer(std::move(error(errc::rate_limited, "x").after(milliseconds(1200))));
  EXPECT_EQ(http::find(busy.fields, "Retry-After"), "2");
  EXPECT_EQ(http::find(busy.fields, "Cache-Control"), "no-store");
}

TEST(errors, the_catalogue_in_the_documentation_is_the_table_in_the_program) {
  const auto text = io::read_file(EVP_SOURCE_DIR "/docs/errors.md", 1 << 20);
  ASSERT_TRUE(text);
  std::size_t rows = 0;
  for (int i = 0; i <= int(errc::internal); ++i, ++rows) {
    const auto code = static_cast<errc>(i);
    const auto row = "| `" + std::string(to_string(code)) + "` | " + std::to_string(http_status(code)) + " | " +
                     (is_temporary(code) ? "yes" : "no") + " |";
    EXPECT_THAT(*text, testing::HasSubstr(row));
  }
  std::size_t documented = 0;
  for (auto at = text->find("\n| `"); at != text->npos; at = text->find("\n| `", at + 1)) ++documented;
  EXPECT_EQ(documented, rows);
}

}  // namespace
}  // namespace evp::api
