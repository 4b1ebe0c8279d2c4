// What the audit holds after changes, grants and refusals.
#include "backend/audit.h"

#include "backend/test_world.h"
#include "base/encoding.h"

namespace evp::backend {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct audit_test : world {
  std::vector<sql::audit_row> all() { return run(b_->audit.read_after(0)).value(); }
  std::vector<std::string> told() {
    std::vector<std::string> out;
    for (const auto& row : all()) {
      const auto& r = row.record;
      out.push_back(r.actor + " " + r.action + " " + r.object_kind + " " + r.object_name + " " + r.outcome);
    }
    return out;
  }
  void write_due() { ASSERT_TRUE(run(b_->audit.write_due())); }
  void expect_whole_chain() {
    const auto ends = run(b_->audit.ends()).value();
    auto hash = from_hex(ends.dropped_hash).value();
    for (const auto& row : all()) {
      hash = audit_hash(hash, row.record);
      EXPECT_EQ(row.hash, to_hex(hash));
    }
    EXPECT_EQ(ends.hash, to_hex(hash));
  }
};

TEST_F(audit_test, each_kind_of_change_leaves_its_record) {
  const origin by("admin-token", "192.0.2.7");
  ASSERT_TRUE(run(b_->devices.create("cam-1", "", by)));
  ASSERT_TRUE(run(b_->services.create(input("store"), "", by)));
  ASSERT_TRUE(run(b_->services.replace("store", input("store"), by)));
  const std::string manifest =
      R"({"deploymentId":"d","instanceSpecs":{},"modules":{},"publishTopics":{},"subscribeTopics":{}})";
  ASSERT_TRUE(run(b_->deployments.set_deployment("cam-1", manifest, by)));
  ASSERT_TRUE(run(b_->deployments.set_configuration("cam-1", "up", "zoom", "a-value-of-its-own", by)));
  ASSERT_TRUE(run(b_->deployments.remove_configuration("cam-1", "up", "zoom", by)));
  ASSERT_TRUE(run(b_->deployments.remove_deployment("cam-1", by)));
  auto file = b_->modules.begin("camera", by).value();
  ASSERT_TRUE(run(file->write("bytes")));
  ASSERT_TRUE(run(file->finish()));
  file.reset();
  ASSERT_TRUE(run(b_->modules.remove("camera", by)));
  hook_input h;
  h.url = "https://hooks.example/";
  h.key = secret(std::string(32, 'k'));
  ASSERT_TRUE(run(b_->hooks.put("ours", h, by)));
  ASSERT_TRUE(run(b_->hooks.remove("ours", by)));
  ASSERT_TRUE(run(block_device(*b_, "cam-1", {}, by)));
  ASSERT_TRUE(run(b_->devices.unblock("cam-1", by)));
  ASSERT_TRUE(run(b_->services.remove("store", by)));
  ASSERT_TRUE(run(b_->remove_device("cam-1", by)));

  EXPECT_THAT(
      told(),
      ElementsAre("admin-token device.create device cam-1 ok", "admin-token service.create service store ok",
                  "admin-token service.replace service store ok", "admin-token deployment.set deployment cam-1 ok",
                  "admin-token configuration.set configuration cam-1/up/zoom ok",
                  "admin-token configuration.remove configuration cam-1/up/zoom ok",
                  "admin-token deployment.remove deployment cam-1 ok", "admin-token module.upload module camera ok",
                  "admin-token module.remove module camera ok", "admin-token hook.set hook ours ok",
                  "admin-token hook.remove hook ours ok", "admin-token device.block device cam-1 ok",
                  "admin-token device.unblock device cam-1 ok", "admin-token service.remove service store ok",
                  "admin-token device.remove device cam-1 ok"));
  for (const auto& row : all()) EXPECT_EQ(row.record.peer, "192.0.2.7");
  expect_whole_chain();
}

TEST_F(audit_test, a_change_that_is_refused_leaves_no_record_of_success) {
  add_device();
  const auto before = all().size();
  EXPECT_FALSE(run(b_->devices.create("cam-1")));
  EXPECT_FALSE(run(b_->services.remove("nothing")));
  EXPECT_FALSE(run(b_->deployments.remove_deployment("cam-1")));
  EXPECT_EQ(all().size(), before);
}

TEST_F(audit_test, a_grant_and_its_record_are_there_together_and_neither_holds_a_secret) {
  add_device();
  add_default_service();
  const auto answer = run(b_->grants.issue("cam-1", ask("1"), wire::dialect::evp2));
  ASSERT_FALSE(answer.failure);
  EXPECT_THAT(told().back(), "device cam-1 grant.put object default/cam-1/up/a.jpg ok");
  const auto r = all().back().record;
  EXPECT_EQ(r.detail, "grant=" + answer.grant_id);
  EXPECT_EQ(r.peer, "");
  for (const auto& row : all())
    for (const auto* text : {&row.record.object_name, &row.record.detail, &row.record.actor}) {
      EXPECT_EQ(text->find("sig="), std::string::npos);
      EXPECT_EQ(text->find("the-secret-key"), std::string::npos);
    }
  expect_whole_chain();
}

TEST_F(audit_test, a_hammering_device_leaves_one_record_at_once_and_one_a_minute) {
  add_device();
  const auto before = all().size();
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(run(b_->grants.issue("cam-1", ask(std::to_string(i)), wire::dialect::evp2)).failure);
  write_due();
  ASSERT_EQ(all().size(), before + 1);
  EXPECT_THAT(told().back(), "device cam-1 grant.put object  not_found");
  clock_.advance(seconds(61));
  write_due();
  ASSERT_EQ(all().size(), before + 2);
  auto count = [](const sql::audit_row& r) {
    const auto& d = r.record.detail;
    return d.empty() ? 1 : std::stoi(d.substr(std::string("count=").size()));
  };
  EXPECT_EQ(count(all()[before]) + count(all()[before + 1]), 50);
  EXPECT_THAT(all().back().record.detail, HasSubstr(" first=2026-"));
  clock_.advance(seconds(61));
  write_due();
  EXPECT_EQ(all().size(), before + 2);
  EXPECT_EQ(b_->audit.count().gathered, 0u);
  EXPECT_EQ(b_->audit.count().refusals, 50u);
  expect_whole_chain();
}

TEST_F(audit_test, what_is_not_written_yet_is_written_at_the_end) {
  const origin by("nobody", "192.0.2.9");
  for (int i = 0; i < 3; ++i) b_->audit.refused(by, action::login, "", "", errc::unauthenticated);
  reopen();
  const auto rows = all();
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.back().record.outcome, "unauthenticated");
  EXPECT_EQ(rows.back().record.peer, "192.0.2.9");
}

TEST_F(audit_test, more_kinds_of_refusals_than_memory_has_room_for_are_told_as_others) {
  audit_limits few;
  few.max_gathered = 3;
  audit a(b_->database, clock_, few);
  for (int i = 0; i < 10; ++i)
    a.refused({"nobody", "192.0.2." + std::to_string(i)}, action::login, "", "", errc::unauthenticated);
  EXPECT_EQ(a.count().gathered, 4u);
  ASSERT_TRUE(run(a.flush()));
  const auto rows = all();
  const auto others =
      std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.record.actor == "(others)"; });
  EXPECT_EQ(others, 1);
}

TEST_F(audit_test, refusals_stay_due_while_the_database_fails) {
  ASSERT_TRUE(run(b_->database.run<std::int64_t>(
      [](sql::connection& c) { return c.execute("ALTER TABLE audit RENAME TO elsewhere"); })));
  audit a(b_->database, clock_);
  a.refused({"nobody", "192.0.2.1"}, action::login, "", "", errc::unauthenticated);
  EXPECT_FALSE(run(a.write_due()));
  ASSERT_TRUE(run(b_->database.run<std::int64_t>(
      [](sql::connection& c) { return c.execute("ALTER TABLE elsewhere RENAME TO audit"); })));
  ASSERT_TRUE(run(a.write_due()));
  EXPECT_EQ(told(), std::vector<std::string>{"nobody login   unauthenticated"});
}

TEST_F(audit_test, a_command_is_recorded_before_the_device_has_it) {
  add_device();
  b_->states.on_presence("cam-1", true);
  command c;
  c.device = "cam-1";
  c.instance = "camera";
  c.method = "take-picture";
  c.time_limit = milliseconds(100);
  std::size_t seen = 0;
  gateway_.on_command = [&](const std::string&, const wire::command_request&) { ++seen; };
  EXPECT_FALSE(run(b_->commands.call(c, {"admin-token", "192.0.2.7"})));
  EXPECT_EQ(seen, 1u);
  EXPECT_EQ(told().back(), "admin-token command.send command cam-1/camera/take-picture ok");
}

TEST_F(audit_test, pages_and_filters_find_what_they_name) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(run(b_->devices.create("cam-" + std::to_string(i), "", origin("admin-token", "192.0.2.7"))));
    clock_.advance(seconds(10));
  }
  page_request two;
  two.limit = 2;
  const auto first = run(b_->audit.list({}, two)).value();
  ASSERT_EQ(first.items.size(), 2u);
  EXPECT_EQ(first.items[0].record.object_name, "cam-4");
  two.cursor = first.next_cursor;
  const auto second = run(b_->audit.list({}, two)).value();
  EXPECT_EQ(second.items[0].record.object_name, "cam-2");
  audit_filter f;
  f.object = "cam-3";
  EXPECT_EQ(run(b_->audit.list(f, {})).value().items.size(), 1u);
  f = {};
  f.since = clock_.now() - seconds(25);
  f.until = clock_.now() - seconds(15);
  EXPECT_EQ(run(b_->audit.list(f, {})).value().items.size(), 1u);
  f = {};
  f.actor = "somebody";
  EXPECT_THAT(run(b_->audit.list(f, {})).value().items, IsEmpty());
  two.cursor = "x";
  EXPECT_EQ(run(b_->audit.list({}, two)).error().field(), "cursor");
}

TEST_F(audit_test, truncation_says_what_it_dropped) {
  add_device("cam-1");
  add_device("cam-2");
  clock_.advance(std::chrono::days(2));
  EXPECT_EQ(run(b_->audit.truncate(clock_.now() - std::chrono::days(1))).value(), 2u);
  EXPECT_EQ(told(), std::vector<std::string>{"system audit.truncate audit 1-2 ok"});
  expect_whole_chain();
}

}  // namespace
}  // namespace evp::backend
