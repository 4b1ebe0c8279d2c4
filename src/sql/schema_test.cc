#include "sql/schema.h"

#include "sql/connection.h"
#include "sql/test_database.h"

namespace evp::sql {
namespace {

using testing::HasSubstr;

constexpr std::string_view first[] = {"CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY)",
                                      "INSERT INTO things (id) VALUES ('old')"};
constexpr std::string_view second[] = {"ALTER TABLE things ADD COLUMN size_bytes BIGINT NOT NULL DEFAULT 7"};
constexpr std::string_view broken[] = {"CREATE TABLE others (id TEXT)", "CREATE TABLE nonsense ("};
constexpr migration one_step[] = {{1, first}};
constexpr migration two_steps[] = {{1, first}, {2, second}};
constexpr migration broken_step[] = {{1, first}, {2, broken}};

struct schema_test : testing::TestWithParam<const char*> {
  std::unique_ptr<session> open() {
    if (GetParam() == std::string_view("sqlite")) return open_sqlite(folder.path() / "a.db").value();
    return open_postgresql(postgresql_parameters(new_postgresql_database()).value()).value();
  }
  temporary_folder folder;
  std::unique_ptr<session> db = open();
};

INSTANTIATE_TEST_SUITE_P(, schema_test, on_both, name_of_database);

TEST_P(schema_test, opens_the_file_of_the_previous_version_and_keeps_its_rows) {
  ASSERT_TRUE(migrate(*db, one_step));
  ASSERT_TRUE(migrate(*db, two_steps));
  const auto found = db->query("SELECT id, size_bytes FROM things");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->at(0).text("id"), "old");
  EXPECT_EQ(found->at(0).integer("size_bytes"), 7);
}

TEST_P(schema_test, applies_each_step_once) {
  ASSERT_TRUE(migrate(*db, two_steps));
  ASSERT_TRUE(migrate(*db, two_steps));
  EXPECT_EQ(db->query("SELECT id FROM things")->size(), 1u);
}

TEST_P(schema_test, refuses_a_newer_file_and_says_what_to_do) {
  ASSERT_TRUE(migrate(*db, two_steps));
  const auto r = migrate(*db, one_step);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code(), errc::failed_precondition);
  EXPECT_THAT(r.error().message(), HasSubstr("schema version 2"));
  EXPECT_THAT(r.error().message(), HasSubstr("newer program"));
}

TEST_P(schema_test, a_failing_step_leaves_the_version_before_it) {
  const auto r = migrate(*db, broken_step);
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().message(), HasSubstr("migration 2"));
  EXPECT_FALSE(db->query("SELECT id FROM others"));
  EXPECT_TRUE(migrate(*db, two_steps));
}

TEST_P(schema_test, the_program_s_own_steps_are_numbered_without_gaps_and_apply_one_by_one) {
  const auto all = schema();
  ASSERT_GE(all.size(), 2u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].version, std::int64_t(i + 1));
    ASSERT_TRUE(migrate(*db, all.first(i + 1)));
  }
  EXPECT_TRUE(db->query("SELECT grant_id FROM uploads"));
}

}  // namespace
}  // namespace evp::sql
