// Blocks of storages, modules and module instances: on one backend, and on another that has not heard.
#include "backend/blocks.h"

#include "backend/test_replicas.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct blocks_test : two_backends, testing::WithParamInterface<const char*> {
  void SetUp() override { open_both(sql::new_database(GetParam(), folder_.path())); }

  static block storage(std::string name = "default") { return {block_kind::service, std::move(name), ""}; }
  static block module(std::string device = "") { return {block_kind::module_file, "camera-1", std::move(device)}; }
  static block instance(std::string name, std::string device = "") {
    return {block_kind::instance, std::move(name), std::move(device)};
  }
  /// "cam" runs module camera-1 and "up" another, on that device.
  void deploy(const std::string& device) {
    for (const std::string id : {"camera-1", "uploader-1"}) {
      auto file = b_->modules.begin(id, origin()).value();
      ASSERT_TRUE(run(file->write("bytes of " + id)));
      ASSERT_TRUE(run(file->finish()));
    }
    ASSERT_TRUE(run(b_->deployments.set_deployment(device, R"({"deploymentId": "d", "instanceSpecs": {
      "cam": {"moduleId": "camera-1", "publish": {}, "subscribe": {}},
      "up": {"moduleId": "uploader-1", "publish": {}, "subscribe": {}}}, "modules": {
      "camera-1": {"moduleImpl": "spawn", "entryPoint": "main"},
      "uploader-1": {"moduleImpl": "spawn", "entryPoint": "main"}}})")));
  }
  /// The failure, or nothing. A request id of its own each time.
  std::optional<error> ask_as(const std::string& name, const std::string& device = "cam-1", backend* by = nullptr) {
    auto r = ask(std::to_string(++last_));
    r.instance = name;
    return run((by ? *by : *b_).grants.issue(device, std::move(r), wire::dialect::evp2)).failure;
  }
  std::size_t rows() { return run(b_->ledger.list({}, {})).value().items.size(); }
  std::vector<std::string> recorded() {
    std::vector<std::string> out;
    const auto all = run(b_->audit.read_after(0)).value();
    for (const auto& row : all)
      if (row.record.action.find("block") != std::string::npos)
        out.push_back(row.record.actor + " " + row.record.action + " " + row.record.object_name + " " +
                      row.record.detail);
    return out;
  }
  int last_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, blocks_test, sql::on_both, sql::name_of_database);

TEST_P(blocks_test, a_blocked_storage_is_granted_no_more_and_the_other_finds_out_from_the_database) {
  ASSERT_TRUE(run(b_->services.create(input("archive"))));
  ASSERT_FALSE(ask_as("up"));
  ASSERT_TRUE(run(block_it(*b_, storage())));
  const auto signs = cloud_.signs.size();
  const auto here = ask_as("up");
  ASSERT_TRUE(here);
  EXPECT_EQ(here->code(), errc::permission_denied);
  EXPECT_THAT(here->message(), HasSubstr("the storage \"default\" is blocked"));
  EXPECT_EQ(cloud_.signs.size(), signs) << "nothing is signed for a block that is known";
  const auto there = ask_as("up", "cam-1", other_.get());
  ASSERT_TRUE(there);
  EXPECT_EQ(there->message(), here->message());
  EXPECT_EQ(rows(), 1U);

  auto r = ask("other");
  r.key = "archive";
  EXPECT_FALSE(issue(*b_, r).failure) << "other storages go on";
  ASSERT_TRUE(run(unblock_it(*b_, storage())));
  EXPECT_FALSE(ask_as("up"));
  ASSERT_TRUE(run(other_->blocks.load()));
  EXPECT_FALSE(ask_as("up", "cam-1", other_.get()));
}

TEST_P(blocks_test, what_was_granted_before_is_still_reported_and_checked) {
  const auto g = issue(*b_, ask("1"));
  ASSERT_TRUE(run(block_it(*b_, storage())));
  cloud_.objects["cam-1/up/a.jpg"] = "abc";
  wire::transfer_report r;
  r.reqid = "2";
  r.grant_id = g.grant_id;
  r.done = true;
  r.bytes = 3;
  r.http_status = 201;
  const auto told = run(b_->grants.report("cam-1", r));
  EXPECT_FALSE(told.failure);
  EXPECT_TRUE(told.verified);
}

TEST_P(blocks_test, parts_of_an_upload_to_a_blocked_storage_are_signed_no_more) {
  cloud_.takes_parts = true;
  auto r = ask("1");
  r.size = 100ULL << 20;
  r.accept.push_back("plan/1");
  const auto g = issue(*b_, r);
  ASSERT_TRUE(g.plan) << (g.failure ? g.failure->message() : "no plan");
  ASSERT_TRUE(run(block_it(*b_, storage())));
  const auto more = run(other_->grants.renew("cam-1", {"2", g.grant_id, 1, 1}));
  ASSERT_TRUE(more.failure);
  EXPECT_EQ(more.failure->code(), errc::permission_denied);
}

TEST_P(blocks_test, a_restart_keeps_it_and_a_storage_that_is_replaced_or_made_again_stays_blocked) {
  ASSERT_TRUE(run(block_it(*b_, storage())));
  reopen();
  EXPECT_TRUE(b_->blocks.has(storage()));
  ASSERT_TRUE(run(b_->services.replace("default", input())));
  EXPECT_TRUE(ask_as("up"));
  ASSERT_TRUE(run(b_->services.remove("default")));
  ASSERT_TRUE(run(b_->services.create(input())));
  EXPECT_TRUE(ask_as("up"));
  ASSERT_TRUE(run(b_->services.remove("default")));
  EXPECT_TRUE(run(unblock_it(*b_, storage()))) << "it can be lifted though the storage is no more";
  EXPECT_EQ(run(unblock_it(*b_, storage())).error().code(), errc::not_found);
}

TEST_P(blocks_test, a_blocked_module_is_every_instance_that_a_deployment_makes_of_it) {
  add_device("cam-2");
  deploy("cam-1");
  ASSERT_TRUE(run(block_it(*b_, module())));
  for (auto* backend : {b_.get(), other_.get()}) {
    ASSERT_TRUE(run(backend->devices.refresh({"cam-1", "cam-2"})));
    const auto refused = ask_as("cam", "cam-1", backend);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->code(), errc::permission_denied);
    EXPECT_THAT(refused->message(), HasSubstr("the module \"camera-1\" is blocked"));
    EXPECT_FALSE(ask_as("up", "cam-1", backend)) << "another module of the same device";
    EXPECT_FALSE(ask_as("cam", "cam-2", backend)) << "a device that does not run it";
  }
  deploy("cam-2");  // deployed after the block
  EXPECT_TRUE(ask_as("cam", "cam-2"));
  EXPECT_EQ(rows(), 4U);
  ASSERT_TRUE(run(unblock_it(*b_, module())));
  EXPECT_FALSE(ask_as("cam"));
}

TEST_P(blocks_test, a_module_can_be_blocked_on_one_device_only) {
  add_device("cam-2");
  deploy("cam-1");
  deploy("cam-2");
  ASSERT_TRUE(run(block_it(*b_, module("cam-2"))));
  EXPECT_FALSE(ask_as("cam", "cam-1"));
  EXPECT_TRUE(ask_as("cam", "cam-2"));
  EXPECT_EQ(run(block_it(*b_, module("cam-3"))).error().field(), "device");
}

TEST_P(blocks_test, an_instance_that_nobody_deployed_is_blocked_by_its_name) {
  add_device("cam-2");
  ASSERT_TRUE(run(block_it(*b_, instance("factory"))));
  EXPECT_THAT(ask_as("factory")->message(), HasSubstr("the module instance \"factory\" is blocked"));
  EXPECT_TRUE(ask_as("factory", "cam-2"));
  EXPECT_TRUE(ask_as("factory", "cam-1", other_.get()));
  EXPECT_FALSE(ask_as("up"));
  ASSERT_TRUE(run(unblock_it(*b_, instance("factory"))));
  ASSERT_TRUE(run(block_it(*b_, instance("factory", "cam-2"))));
  EXPECT_FALSE(ask_as("factory"));
  EXPECT_TRUE(ask_as("factory", "cam-2"));
  EXPECT_EQ(run(block_it(*b_, instance("no good"))).error().code(), errc::invalid_argument);
  EXPECT_EQ(run(unblock_it(*b_, instance("up"))).error().code(), errc::not_found);
}

TEST_P(blocks_test, a_block_is_its_tenants) {
  ASSERT_TRUE(run(b_->services.create(input("default"), "acme")));
  ASSERT_TRUE(run(b_->devices.create("cam-1", "acme")));
  ASSERT_TRUE(run(block_it(*b_, instance("acme:up"))));
  EXPECT_TRUE(ask_as("up", "acme:cam-1"));
  EXPECT_FALSE(ask_as("up", "cam-1"));
  ASSERT_TRUE(run(unblock_it(*b_, instance("acme:up"))));
  ASSERT_TRUE(run(block_it(*b_, storage())));
  EXPECT_FALSE(ask_as("up", "acme:cam-1"));
  EXPECT_THAT(b_->blocks.list("acme"), IsEmpty());
  EXPECT_EQ(b_->blocks.list("").size(), 1U);
}

TEST_P(blocks_test, the_answer_counts_what_lives_still_and_says_when_the_last_one_dies) {
  add_device("cam-2");
  deploy("cam-1");
  EXPECT_EQ(run(block_it(*b_, storage(), {true})).value().grants.count, 0U);
  ASSERT_FALSE(ask_as("cam"));
  clock_.advance(seconds(60));
  const auto last = clock_.now() + services::default_expiration;
  ASSERT_FALSE(ask_as("cam"));
  ASSERT_FALSE(ask_as("up"));
  ASSERT_FALSE(ask_as("cam", "cam-2"));
  const auto of_storage = run(block_it(*b_, storage(), {true})).value().grants;
  EXPECT_EQ(of_storage.count, 4U);
  EXPECT_EQ(of_storage.last_expires_at, last);
  EXPECT_EQ(run(block_it(*b_, module(), {true})).value().grants.count, 2U)
      << "not those of cam-2, which nobody deployed";
  EXPECT_EQ(run(block_it(*b_, instance("cam"), {true})).value().grants.count, 3U);
  EXPECT_EQ(run(block_it(*b_, instance("cam", "cam-2"), {true})).value().grants.count, 1U);
  clock_.advance(seconds(61));
  EXPECT_EQ(run(block_it(*b_, storage(), {true})).value().grants.count, 3U);
  clock_.advance(seconds(60));
  const auto none = run(block_it(*b_, storage())).value().grants;
  EXPECT_EQ(none.count, 0U);
  EXPECT_FALSE(none.last_expires_at);
}

TEST_P(blocks_test, a_drill_blocks_nothing_and_is_recorded_as_one) {
  gateway_.calls.clear();
  const origin by("admin-token", "192.0.2.7");
  const auto report = run(block_device(*b_, "cam-1", {true}, by)).value();
  EXPECT_FALSE(report.change.device.blocked);
  ASSERT_FALSE(report.rest.replicas.empty());
  const auto& self = report.rest.replicas.front();
  EXPECT_TRUE(self.is_this);
  EXPECT_TRUE(self.within);
  EXPECT_TRUE(self.broker);
  EXPECT_EQ(gateway_.calls.front(), "set cam-1") << "as it is";
  EXPECT_TRUE(run(block_it(*b_, storage(), {true}, by)));
  EXPECT_FALSE(ask_as("up"));
  EXPECT_THAT(recorded(), testing::ElementsAre("admin-token block.drill cam-1 ", "admin-token block.drill default "));
  EXPECT_THAT(b_->blocks.list(), IsEmpty());
}

TEST_P(blocks_test, each_change_is_recorded_once) {
  deploy("cam-1");
  const origin by("admin-token", "192.0.2.7");
  ASSERT_TRUE(run(block_it(*b_, storage(), {}, by)));
  ASSERT_TRUE(run(block_it(*b_, storage(), {}, by))) << "again is no change";
  ASSERT_TRUE(run(block_it(*b_, module("cam-1"), {}, by)));
  ASSERT_TRUE(run(block_it(*b_, instance("up"), {}, by)));
  ASSERT_TRUE(run(unblock_it(*b_, instance("up"), by)));
  EXPECT_THAT(recorded(), testing::ElementsAre("admin-token service.block default ",
                                               "admin-token module.block camera-1 device=cam-1",
                                               "admin-token instance.block up ", "admin-token instance.unblock up "));
}

TEST_P(blocks_test, a_broker_that_does_not_answer_is_told_of) {
  gateway_.failure = error(errc::unavailable, "the broker is away");
  const auto report = run(block_device(*b_, "cam-1", {true})).value();
  EXPECT_EQ(report.rest.replicas.front().broker_error, "the broker is away");
}

}  // namespace
}  // namespace evp::backend
