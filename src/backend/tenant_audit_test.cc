// A tenant's part of the audit, found among many records of others.
#include "backend/tenant_audit.h"

#include "backend/test_world.h"

namespace evp::backend {
namespace {

constexpr std::int64_t others = audit::max_looked_at + 1000;

/// The tenant's first record of all, and its last one behind those of others.
struct tenant_audit_test : world {
  void note(const std::string& name, std::int64_t times) {
    std::function<result<void>(sql::connection&)> write = [&](sql::connection& c) -> result<void> {
      const auto r = done_now(clock_, origin("admin-token", ""), action::device_create, kind::device, name);
      for (std::int64_t i = 0; i < times; ++i) c.note(r);
      return {};
    };
    ASSERT_TRUE(run(b_->database.run<void>(std::move(write))));
  }
  void SetUp() override {
    world::SetUp();
    note("acme:first", 1);
    note("globex:cam", others);
    note("acme:last", 1);
  }
};

TEST_F(tenant_audit_test, pages_look_at_so_many_records_and_lead_on) {
  std::vector<std::string> found;
  page_request r;
  int pages = 0;
  do {
    const auto p = run(list_tenant_audit(b_->database, "acme", {}, r)).value();
    for (const auto& row : p.items) found.push_back(row.record.object_name);
    r.cursor = p.next_cursor;
    ++pages;
  } while (!r.cursor.empty() && pages < 10);
  EXPECT_EQ(found, (std::vector<std::string>{"acme:last", "acme:first"}));
  EXPECT_EQ(pages, 2);
}

TEST_F(tenant_audit_test, pieces_of_an_export_look_at_so_many_and_miss_none) {
  const auto end = run(b_->audit.ends()).value().number;
  std::vector<std::string> found;
  int pieces = 0;
  for (std::int64_t at = 0; at < end && pieces < 10; ++pieces) {
    const auto p = run(read_tenant_audit(b_->database, "acme", at)).value();
    EXPECT_LE(p.looked_at - at, audit::max_looked_at);
    for (const auto& row : p.records) found.push_back(row.record.object_name);
    at = p.looked_at;
  }
  EXPECT_EQ(found, (std::vector<std::string>{"acme:first", "acme:last"}));
  EXPECT_EQ(pieces, 2);
}

TEST_F(tenant_audit_test, a_full_piece_ends_at_its_last_record) {
  const auto p = run(read_tenant_audit(b_->database, "globex", 0)).value();
  ASSERT_EQ(p.records.size(), audit::max_piece);
  EXPECT_EQ(p.looked_at, p.records.back().record.number);
}

}  // namespace
}  // namespace evp::backend
