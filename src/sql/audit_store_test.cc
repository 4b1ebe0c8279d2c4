// The audit's chain, written by the database beside the changes.
#include "sql/audit_store.h"

#include <boost/asio/detached.hpp>
#include <future>

#include "base/encoding.h"
#include "sql/connection.h"
#include "sql/devices_store.h"
#include "sql/tenant_audit_store.h"
#include "sql/test_database.h"

namespace evp::sql {
namespace {

using testing::ElementsAre;

struct audit_store_test : test_database {
  static audit_record record(std::string name, std::int64_t at = 1000) {
    audit_record r;
    r.at = at;
    r.actor = "admin-token";
    r.action = "device.create";
    r.object_kind = "device";
    r.object_name = std::move(name);
    r.outcome = "ok";
    return r;
  }
  void note(const std::string& name, std::int64_t at = 1000) {
    ASSERT_TRUE(in_db([&](connection& c) -> result<void> {
      c.note(record(name, at));
      return {};
    }));
  }
  std::vector<audit_row> all() {
    audit_query q;
    q.oldest_first = true;
    q.limit = 100'000;
    return in_db([&](connection& c) { return list_audit(c, q); }).value();
  }
  audit_ends ends() {
    return in_db([](connection& c) { return find_audit_ends(c); }).value();
  }
  std::vector<std::string> names(const audit_query& q) {
    std::vector<std::string> out;
    const auto found = in_db([&](connection& c) { return list_audit(c, q); });
    for (const auto& r : *found) out.push_back(r.record.object_name);
    return out;
  }
  void expect_whole_chain() {
    const auto e = ends();
    auto hash = from_hex(e.dropped_hash).value();
    auto number = e.dropped_number;
    for (const auto& r : all()) {
      EXPECT_EQ(r.record.number, ++number);
      hash = audit_hash(hash, r.record);
      EXPECT_EQ(r.hash, to_hex(hash));
    }
    EXPECT_EQ(e.number, number);
    EXPECT_EQ(e.hash, to_hex(hash));
  }
};

INSTANTIATE_TEST_SUITE_P(, audit_store_test, on_both, name_of_database);

TEST_P(audit_store_test, records_are_numbered_and_chained_over_transactions_and_restarts) {
  note("cam-1");
  note("cam-2");
  db_.reset();
  db_ = database::open(ctx_.get_executor(), url()).value();
  note("cam-3");
  EXPECT_EQ(all().size(), 3u);
  expect_whole_chain();
}

TEST_P(audit_store_test, a_change_that_fails_leaves_no_record_and_those_beside_it_do) {
  auto outcomes = std::make_shared<int>(0);
  const auto before = db_->count().commits;
  // They wait together: the first keeps the thread until all are there.
  auto started = std::make_shared<std::promise<void>>();
  auto hold = started->get_future().share();
  auto one = [](database& d, int n, std::shared_future<void> wait, std::shared_ptr<int> done) -> io::task<void> {
    std::function<result<void>(connection&)> work = [n, wait](connection& c) -> result<void> {
      wait.wait();
      CHECK(insert_device(c, {"cam-" + std::to_string(n), std::string(64, 'a'), false, 1}));
      c.note(record("cam-" + std::to_string(n)));
      if (n == 3) return fail(errc::invalid_argument, "on purpose");
      return {};
    };
    (void)co_await d.run<void>(std::move(work));
    ++*done;
  };
  for (int n = 0; n < 10; ++n) io::asio::co_spawn(ctx_, one(*db_, n, hold, outcomes), io::asio::detached);
  ctx_.restart();
  ctx_.poll();
  started->set_value();
  while (*outcomes < 10) ctx_.run_one();

  EXPECT_LE(db_->count().commits - before, 2u);
  EXPECT_EQ(all().size(), 9u);
  for (const auto& r : all()) EXPECT_NE(r.record.object_name, "cam-3");
  EXPECT_EQ(in_db([](connection& c) { return list_devices(c); })->size(), 9u);
  expect_whole_chain();
}

TEST_P(audit_store_test, without_the_record_there_is_no_change) {
  ASSERT_TRUE(in_db([](connection& c) { return c.execute("DROP TABLE audit"); }));
  EXPECT_FALSE(in_db([](connection& c) -> result<void> {
    CHECK(insert_device(c, {"cam-1", std::string(64, 'a'), false, 1}));
    c.note(record("cam-1"));
    return {};
  }));
  EXPECT_EQ(in_db([](connection& c) { return list_devices(c); })->size(), 0u);
}

TEST_P(audit_store_test, lists_what_passes_the_filter) {
  note("cam-1", 10);
  note("cam-1/up/topic", 20);
  note("cam-10", 30);
  audit_query q;
  q.object = "cam-1";
  EXPECT_THAT(names(q), ElementsAre("cam-1/up/topic", "cam-1"));
  q = {};
  q.since = 20, q.until = 30;
  EXPECT_THAT(names(q), ElementsAre("cam-1/up/topic"));
  q = {};
  q.before = 3;
  q.limit = 1;
  EXPECT_THAT(names(q), ElementsAre("cam-1/up/topic"));
  q = {};
  q.actor = "device cam-1";
  EXPECT_TRUE(names(q).empty());
}

TEST_P(audit_store_test, what_remains_after_a_truncation_still_verifies) {
  for (int n = 1; n <= 5; ++n) note("cam-" + std::to_string(n), n * 100);
  EXPECT_EQ(in_db([](connection& c) { return truncate_audit(c, 350, 2); }).value(), 2);
  expect_whole_chain();
  EXPECT_EQ(in_db([](connection& c) { return truncate_audit(c, 350, 100); }).value(), 1);
  EXPECT_EQ(in_db([](connection& c) { return truncate_audit(c, 350, 100); }).value(), 0);
  EXPECT_EQ(all().size(), 2u);
  EXPECT_EQ(ends().dropped_number, 3);
  note("cam-6", 600);
  expect_whole_chain();
  EXPECT_EQ(in_db([](connection& c) { return truncate_audit(c, 10'000, 100); }).value(), 3);
  EXPECT_TRUE(all().empty());
  note("cam-7", 700);
  EXPECT_EQ(all().at(0).record.number, 7);
  expect_whole_chain();
}

struct tenant_audit_store_test : audit_store_test {
  void note_by(const std::string& actor, const std::string& kind, const std::string& name) {
    auto r = record(name);
    r.actor = actor;
    r.object_kind = kind;
    ASSERT_TRUE(in_db([&](connection& c) -> result<void> {
      c.note(r);
      return {};
    }));
  }
  void SetUp() override {
    audit_store_test::SetUp();
    note_by("admin-token", "device", "acme:cam");
    note_by("admin-token", "device", "acme2:cam");
    note_by("admin-token", "device", "cam");
    note_by("acme:k1", "device", "");  // refused before it had a name
    note_by("device acme:cam", "object", "");
    note_by("device acme:cam", "object", "acme:default/acme2:x/a");
    note_by("device cam", "object", "default/cam/acme:x");
    note_by("admin-token", "tenant", "acme");
    note_by("nobody", "", "");
    note_by("k2", "key", "k3");
    note_by("acme2:oidc:ann", "hook", "acme2:h");
    note_by("oidc:ann", "hook", "h");
    note_by("admin-token", "master-key", "");
  }
  std::vector<std::int64_t> numbers(std::string_view tenant, audit_query q = {}) {
    q.oldest_first = true;
    std::vector<std::int64_t> out;
    const auto found = in_db([&](connection& c) { return list_tenant_audit(c, tenant, q); });
    for (const auto& r : *found) out.push_back(r.record.number);
    return out;
  }
};

INSTANTIATE_TEST_SUITE_P(, tenant_audit_store_test, on_both, name_of_database);

TEST_P(tenant_audit_store_test, each_tenant_has_its_own_records_and_no_others) {
  EXPECT_THAT(numbers("acme"), ElementsAre(1, 4, 5, 6, 8));
  EXPECT_THAT(numbers("acme2"), ElementsAre(2, 11));
  EXPECT_THAT(numbers("acm"), ElementsAre());
  EXPECT_THAT(numbers("cam"), ElementsAre());
  EXPECT_THAT(numbers("oidc"), ElementsAre());  // whose name is how actors of no tenant begin
}

TEST_P(tenant_audit_store_test, the_installations_own_tenant_has_nothing_of_the_whole_installation) {
  EXPECT_THAT(numbers(""), ElementsAre(3, 7, 10, 12));
}

TEST_P(tenant_audit_store_test, filters_take_names_as_the_tenant_knows_them_and_never_another_tenants) {
  audit_query q;
  for (const char* object : {"cam", "acme:cam"}) {
    q.object = object;
    EXPECT_THAT(numbers("acme", q), ElementsAre(1)) << object;
  }
  q.object = "acme2:cam";
  EXPECT_THAT(numbers("acme", q), ElementsAre());
  q.object.reset();
  for (const char* actor : {"k1", "acme:k1"}) {
    q.actor = actor;
    EXPECT_THAT(numbers("acme", q), ElementsAre(4)) << actor;
  }
  for (const char* actor : {"device cam", "device acme:cam"}) {
    q.actor = actor;
    EXPECT_THAT(numbers("acme", q), ElementsAre(5, 6)) << actor;
  }
  q.actor = "admin-token";
  EXPECT_THAT(numbers("acme", q), ElementsAre(1, 8));
  q.actor = "k2";
  EXPECT_THAT(numbers("acme", q), ElementsAre());
  q.actor.reset();
  q.after = 4;
  q.limit = 2;
  EXPECT_THAT(numbers("acme", q), ElementsAre(5, 6));
}

}  // namespace
}  // namespace evp::sql
