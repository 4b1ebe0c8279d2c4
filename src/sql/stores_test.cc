// The typed stores, on real databases.
#include "sql/deployments_store.h"
#include "sql/devices_store.h"
#include "sql/events_store.h"
#include "sql/keys_store.h"
#include "sql/ledger_store.h"
#include "sql/modules_store.h"
#include "sql/services_store.h"
#include "sql/states_store.h"
#include "sql/test_database.h"

namespace evp::sql {
namespace {

using testing::ElementsAre;

struct stores_test : test_database {
  void SetUp() override {
    ASSERT_TRUE(in_db([](connection& c) { return insert_device(c, {"cam-1", "t", false, 5}); }));
  }
  upload_row upload(const std::string& id, const std::string& state = "issued", std::int64_t expires_at = 100) {
    return {.grant_id = id,
            .device = "cam-1",
            .instance = "up",
            .request_id = "1",
            .service_id = "s",
            .service_name = "default",
            .object = "cam-1/up/a.jpg",
            .operation = "put",
            .state = state,
            .can_report = true,
            .size_declared = 10,
            .issued_at = 1,
            .expires_at = expires_at,
            .updated_at = 1};
  }
  void insert(const upload_row& u) {
    ASSERT_TRUE(in_db([&](connection& c) { return insert_upload(c, u); }));
  }
  std::vector<std::string> ids(const upload_query& q) {
    std::vector<std::string> out;
    const auto found = in_db([&](connection& c) { return list_uploads(c, q); }).value();
    for (const auto& u : found) out.push_back(u.grant_id);
    return out;
  }
};

INSTANTIATE_TEST_SUITE_P(, stores_test, on_both, name_of_database);

TEST_P(stores_test, a_key_is_stored_once_and_the_first_one_stays) {
  EXPECT_EQ(in_db([](connection& c) { return find_key(c, "k"); }).value(), std::nullopt);
  EXPECT_EQ(in_db([](connection& c) { return insert_key_if_missing(c, "k", "one"); }).value(), "one");
  EXPECT_EQ(in_db([](connection& c) { return insert_key_if_missing(c, "k", "two"); }).value(), "one");
}

service_row a_service(const std::string& name) {
  return {.id = "id-" + name,
          .revision = 1,
          .name = name,
          .type = "AWS",
          .certificate = "pem",
          .expiration_ms = 1000,
          .offline_ms = 5000,
          .object_name_template = "{name}",
          .created_at = 1,
          .updated_at = 1,
          .options = {{"bucket", "b", false}, {"key", "sealed", true}},
          .headers = {{"x-b", "2"}, {"x-a", "1"}}};
}

TEST_P(stores_test, a_service_comes_back_with_its_options_and_its_headers_in_order) {
  ASSERT_TRUE(in_db([](connection& c) { return insert_service(c, a_service("default")); }));
  ASSERT_TRUE(in_db([](connection& c) { return insert_service(c, a_service("other")); }));
  const auto all = in_db([](connection& c) { return list_services(c); }).value();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "default");
  ASSERT_EQ(all[0].options.size(), 2u);
  EXPECT_FALSE(all[0].options[0].is_secret);
  EXPECT_TRUE(all[0].options[1].is_secret);
  ASSERT_EQ(all[0].headers.size(), 2u);
  EXPECT_EQ(all[0].headers[0].name, "x-b");
  EXPECT_EQ(all[0].offline_ms, 5000);
}

TEST_P(stores_test, an_update_that_missed_another_s_is_refused) {
  auto s = a_service("default");
  ASSERT_TRUE(in_db([&](connection& c) { return insert_service(c, s); }));
  s.revision = 2;
  s.headers.clear();
  ASSERT_TRUE(in_db([&](connection& c) { return update_service(c, s); }));
  EXPECT_EQ(in_db([&](connection& c) { return update_service(c, s); }).error().code(), errc::failed_precondition);
  EXPECT_TRUE(in_db([](connection& c) { return list_services(c); })->at(0).headers.empty());
  s.id = "gone";
  EXPECT_EQ(in_db([&](connection& c) { return update_service(c, s); }).error().code(), errc::not_found);
}

TEST_P(stores_test, removing_a_device_takes_what_belongs_to_it_and_leaves_the_ledger) {
  insert(upload("g1"));
  ASSERT_TRUE(in_db([](connection& c) { return put_configuration(c, "cam-1", {"up/a", "v"}, 1); }));
  EXPECT_TRUE(in_db([](connection& c) { return remove_device(c, "cam-1"); }).value());
  EXPECT_FALSE(in_db([](connection& c) { return remove_device(c, "cam-1"); }).value());
  EXPECT_TRUE(in_db([](connection& c) { return list_configuration(c, "cam-1"); })->empty());
  EXPECT_THAT(ids({}), ElementsAre("g1"));
}

TEST_P(stores_test, configuration_values_may_hold_any_byte) {
  const std::string bytes("a\0b\xff", 4);
  ASSERT_TRUE(in_db([&](connection& c) { return put_configuration(c, "cam-1", {"up/a", bytes}, 1); }));
  ASSERT_TRUE(in_db([&](connection& c) { return put_configuration(c, "cam-1", {"up/a", bytes + "2"}, 2); }));
  const auto all = in_db([](connection& c) { return list_configuration(c, "cam-1"); }).value();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].value, bytes + "2");
  EXPECT_TRUE(in_db([](connection& c) { return remove_configuration(c, "cam-1", "up/a"); }).value());
  EXPECT_FALSE(in_db([](connection& c) { return remove_configuration(c, "cam-1", "up/a"); }).value());
}

TEST_P(stores_test, a_module_that_is_deployed_cannot_be_removed) {
  ASSERT_TRUE(in_db([](connection& c) { return insert_module(c, {"m", 3, "ab", 1}); }));
  ASSERT_TRUE(in_db([](connection& c) { return put_deployment(c, "cam-1", "{}", {"m"}, 1); }));
  EXPECT_EQ(in_db([](connection& c) { return remove_module(c, "m"); }).error().code(), errc::failed_precondition);
  EXPECT_THAT(in_db([](connection& c) { return devices_using_module(c, "m", 10); }).value(), ElementsAre("cam-1"));
  ASSERT_TRUE(in_db([](connection& c) { return remove_deployment(c, "cam-1"); }).value());
  EXPECT_TRUE(in_db([](connection& c) { return remove_module(c, "m"); }).value());
}

TEST_P(stores_test, uploads_come_newest_first_in_pages_and_filtered) {
  for (const auto* id : {"g1", "g2", "g3", "g4"}) insert(upload(id, id == std::string("g2") ? "verified" : "issued"));
  EXPECT_THAT(ids({.limit = 2}), ElementsAre("g4", "g3"));
  EXPECT_THAT(ids({.before_id = "g3", .limit = 2}), ElementsAre("g2", "g1"));
  EXPECT_THAT(ids({.state = "verified"}), ElementsAre("g2"));
  EXPECT_THAT(ids({.from_id = "g3"}), ElementsAre("g4", "g3"));
  EXPECT_THAT(ids({.device = "cam-2"}), ElementsAre());
  EXPECT_THAT(ids({.service_name = "default", .limit = 1}), ElementsAre("g4"));
}

TEST_P(stores_test, an_upload_in_a_final_state_does_not_move) {
  insert(upload("g1"));
  const auto change = [&](std::string state, std::optional<std::int64_t> size) {
    return in_db([=](connection& c) { return change_upload(c, {"g1", state, "", size, "", 9}); }).value();
  };
  EXPECT_TRUE(change("uploaded", {}));
  EXPECT_TRUE(change("verified", 11));
  EXPECT_FALSE(change("failed", {}));
  const auto u = in_db([](connection& c) { return find_upload(c, "g1"); }).value();
  EXPECT_EQ(u->state, "verified");
  EXPECT_EQ(u->size_declared, 10);
  EXPECT_EQ(u->size_bytes, 11);
  EXPECT_EQ(u->updated_at, 9);
}

TEST_P(stores_test, overdue_uploads_are_the_open_ones_past_their_expiry) {
  insert(upload("g1", "issued", 50));
  insert(upload("g2", "verified", 50));
  insert(upload("g3", "uploaded", 40));
  insert(upload("g4", "issued", 60));
  const auto found = in_db([](connection& c) { return list_overdue_uploads(c, 60, 10); }).value();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].grant_id, "g3");
  EXPECT_EQ(found[1].grant_id, "g1");
}

TEST_P(stores_test, live_grants_are_those_that_are_good_still_and_unused_offline_ones_are_told_apart) {
  const auto live_from = [&](const std::string& id) {
    return in_db([&](connection& c) { return find_live_grants(c, "cam-1", 60, id); }).value();
  };
  const auto live = [&] { return live_from("g1"); };
  const auto unused = [&] { return in_db([](connection& c) { return count_offline_grants(c, "cam-1", 60); }).value(); };
  EXPECT_EQ(live().count, 0);
  EXPECT_EQ(live().last_expires_at, 0);
  const auto kept = [&](const std::string& id, const std::string& state, std::int64_t expires_at) {
    auto u = upload(id, state, expires_at);
    u.offline = true;
    return u;
  };
  insert(upload("g1", "issued", 60));  // dead from then on
  insert(upload("g2", "issued", 61));
  insert(kept("g3", "issued", 60));
  insert(kept("g4", "issued", 99));
  insert(kept("g5", "verified", 90));  // used, and good for another PUT all the same
  auto other = kept("g6", "issued", 200);
  other.device = "cam-2";
  insert(other);
  EXPECT_EQ(live().count, 3);
  EXPECT_EQ(live().offline, 2);
  EXPECT_EQ(live().last_expires_at, 99);
  EXPECT_EQ(unused(), 1);
  auto yearly = kept("f1", "issued", 31'536'000'000);
  insert(yearly);
  EXPECT_EQ(live().count, 4) << "it is older than the recent ones, and lives long";
  EXPECT_EQ(live().last_expires_at, yearly.expires_at);
  EXPECT_EQ(live_from("f1").count, 4) << "none is counted twice";
  EXPECT_TRUE(in_db([](connection& c) { return find_upload(c, "g4"); }).value()->offline);
}

TEST_P(stores_test, uploads_are_counted_by_state) {
  const auto change = [&](const std::string& id, const std::string& from, const std::string& to) {
    ASSERT_TRUE(in_db([&](connection& c) { return append_upload_event(c, id, from, to, "", 1); }));
  };
  const auto counts = [&] {
    std::map<std::string, std::int64_t> out;
    const auto found = in_db([](connection& c) { return count_uploads(c); }).value();
    for (const auto& n : found) out[n.state] = n.rows;
    return out;
  };
  using expected = std::map<std::string, std::int64_t>;
  EXPECT_EQ(counts(), (expected{{"issued", 0}, {"uploaded", 0}, {"verified", 0}, {"failed", 0}, {"expired", 0}}));
  for (const auto* id : {"g1", "g2", "g3"}) change(id, "", "issued");
  change("g3", "issued", "uploaded");
  change("g3", "uploaded", "failed");
  change("g2", "issued", "expired");
  EXPECT_EQ(counts(), (expected{{"issued", 1}, {"uploaded", 0}, {"verified", 0}, {"failed", 1}, {"expired", 1}}));
}

TEST_P(stores_test, reports_and_states_replace_what_was_there_and_skip_devices_that_are_gone) {
  ASSERT_TRUE(in_db([](connection& c) { return put_report(c, {"cam-1", "EVP1", "{}", "", "", 0, 1}); }));
  ASSERT_TRUE(in_db([](connection& c) { return put_report(c, {"cam-1", "EVP2-TB", "{}", "", "", 0, 2}); }));
  ASSERT_TRUE(in_db([](connection& c) { return put_report(c, {"gone", "EVP1", "", "", "", 0, 1}); }));
  ASSERT_TRUE(in_db([](connection& c) { return put_states(c, "gone", {{"gone", "a/b", "v", 1}}); }));
  ASSERT_TRUE(in_db([](connection& c) {
    return put_states(c, "cam-1", {{"cam-1", "a/b", "v", 1}, {"cam-1", "a/c", "w", 1}});
  }));
  ASSERT_TRUE(in_db([](connection& c) { return put_states(c, "cam-1", {{"cam-1", "a/c", "x", 2}}); }));
  const auto reports = in_db([](connection& c) { return list_reports(c); }).value();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].dialect, "EVP2-TB");
  const auto states = in_db([](connection& c) { return list_states(c, "cam-1"); }).value();
  ASSERT_EQ(states.size(), 1u);
  EXPECT_EQ(states[0].value, "x");
}

}  // namespace
}  // namespace evp::sql
