// Changes of provider, through the whole backend, on both databases.
#include "backend/provider_changes.h"

#include "backend/test_changing_fleet.h"

namespace evp::backend {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(takes_part, is_about_so_many_in_a_hundred_and_who_is_in_stays_in_when_there_are_more) {
  int before = 0;
  for (const int percent : {0, 1, 10, 50, 99, 100}) {
    int in = 0;
    for (int i = 0; i < 3'000; ++i) {
      const auto device = "cam-" + std::to_string(i);
      in += takes_part("service", device, percent);
      if (takes_part("service", device, before)) { EXPECT_TRUE(takes_part("service", device, percent)) << device; }
    }
    EXPECT_NEAR(in, percent * 30, 150) << percent;
    before = percent;
  }
  EXPECT_FALSE(takes_part("service", "cam-1", 0));
  EXPECT_TRUE(takes_part("service", "cam-1", 100));
}

struct provider_changes_test : changing_fleet, testing::WithParamInterface<const char*> {
  void SetUp() override { open_on(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(, provider_changes_test, sql::on_both, sql::name_of_database);

TEST_P(provider_changes_test, its_devices_get_grants_of_the_other_storage_and_the_ledger_names_both) {
  begin(5);
  const auto g = issue(in_);
  ASSERT_FALSE(g.failure) << g.failure->message();
  EXPECT_THAT(g.url.reveal(), HasSubstr(new_url));
  const auto row = run(b_->ledger.get(g.grant_id)).value();
  EXPECT_EQ(row.service_name, "new");
  EXPECT_EQ(row.service_id, b_->services.get("new")->id);
  EXPECT_EQ(row.asked_service, "default");
  EXPECT_THAT(audited(action::grant_put), Contains(HasSubstr("asked=default")));

  const auto other = issue(out_);
  EXPECT_THAT(other.url.reveal(), HasSubstr(old_url));
  EXPECT_THAT(run(b_->ledger.get(other.grant_id))->asked_service, IsEmpty());
  EXPECT_EQ(view().figures.to.granted, 1);
  EXPECT_EQ(view().figures.from.granted, 1);
}

TEST_P(provider_changes_test, raising_the_percentage_adds_devices_and_keeps_the_figures_and_the_bound) {
  begin(5);
  upload_files(in_, 1, true);
  EXPECT_THAT(issue(out_).url.reveal(), HasSubstr(old_url));
  change_input more;
  more.percent = 100;
  const auto v = run(b_->provider_changes.put("default", more)).value();
  EXPECT_EQ(v.figures.to.verified, 1);
  EXPECT_EQ(v.minimum, 4);
  EXPECT_THAT(issue(in_).url.reveal(), HasSubstr(new_url));
  EXPECT_THAT(issue(out_).url.reveal(), HasSubstr(new_url));
  more.percent = 0;
  ASSERT_TRUE(run(b_->provider_changes.put("default", more)));
  EXPECT_THAT(issue(in_).url.reveal(), HasSubstr(old_url));
}

TEST_P(provider_changes_test, one_call_goes_back_and_says_what_is_still_good_at_the_other_storage) {
  begin(5);
  issue(in_, "1");
  issue(in_, "2");
  issue(out_);
  const auto v = run(b_->provider_changes.go_back("default")).value();
  EXPECT_EQ(v.state, change_state::gone_back);
  EXPECT_EQ(v.still_good->count, 2u);
  EXPECT_EQ(v.still_good->last_expires_at, clock_.now() + seconds(120));
  EXPECT_THAT(issue(in_, "3").url.reveal(), HasSubstr(old_url));
  clock_.advance(seconds(120));
  const auto again = run(b_->provider_changes.go_back("default")).value();
  EXPECT_EQ(again.still_good->count, 0u);
  EXPECT_EQ(audited(action::service_change_back).size(), 1u);
}

TEST_P(provider_changes_test, what_a_backend_has_not_heard_of_it_does_not_grant_by) {
  begin(5);
  EXPECT_THAT(issue_at(*other_, in_).url.reveal(), HasSubstr(new_url)) << "it has not heard of the beginning";
  ASSERT_TRUE(run(b_->provider_changes.go_back("default")));
  const auto g = issue_at(*other_, in_, "b.jpg");
  ASSERT_FALSE(g.failure) << g.failure->message();
  EXPECT_THAT(g.url.reveal(), HasSubstr(old_url)) << "it has not heard of the way back";
  const auto rows = run(b_->ledger.list({}, {})).value();
  for (const auto& u : rows.items)
    if (u.object.ends_with("b.jpg")) { EXPECT_EQ(u.service_name, "default") << "what it signed first has no row"; }
  begin(100);
  ASSERT_TRUE(run(b_->provider_changes.finish("default")));
  EXPECT_THAT(issue_at(*other_, out_, "c.jpg").url.reveal(), HasSubstr(new_url));
  EXPECT_EQ(other_->services.get("default")->revision, 2);
}

TEST_P(provider_changes_test, an_upload_in_parts_goes_on_while_more_devices_are_added_and_ends_with_the_way_back) {
  cloud_.takes_parts = true;
  begin(5);
  auto r = ask("parts");
  r.size = 100ULL << 20;
  r.accept.push_back("plan/1");
  const auto g = run(b_->grants.issue(in_, r, wire::dialect::evp2));
  ASSERT_TRUE(g.plan) << (g.failure ? g.failure->message() : "no plan");
  begin(50);
  EXPECT_FALSE(run(b_->grants.renew(in_, {"2", g.grant_id, 1, 1})).failure);
  ASSERT_TRUE(run(b_->provider_changes.go_back("default")));
  const auto more = run(b_->grants.renew(in_, {"3", g.grant_id, 1, 1}));
  ASSERT_TRUE(more.failure);
  EXPECT_EQ(more.failure->code(), errc::not_found);
}

TEST_P(provider_changes_test, it_is_finished_at_a_hundred_only_and_then_the_name_stands_for_the_other_configuration) {
  auto other = input();
  other.options["endpoint"] = secret("https://elsewhere.example");
  other.options["key"] = secret("another-secret");
  other.headers = {{"x-kind", "photo"}};
  ASSERT_TRUE(run(b_->services.replace("new", other)));
  begin(99);
  const auto early = run(b_->provider_changes.finish("default"));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), errc::failed_precondition);
  EXPECT_THAT(early.error().message(), HasSubstr("99 percent"));
  begin(100);
  const auto under_way = issue(in_, "1");
  ASSERT_EQ(run(b_->provider_changes.finish("default"))->state, change_state::finished);
  const auto now = b_->services.get("default").value();
  EXPECT_EQ(now.id, source_);
  EXPECT_EQ(now.endpoint, "https://elsewhere.example");
  EXPECT_EQ(now.headers.size(), 1u);
  EXPECT_EQ(now.revision, 2);
  reopen();  // so its secrets open in their new place
  const auto g = issue(out_, "2");
  EXPECT_THAT(g.url.reveal(), HasSubstr(new_url));
  EXPECT_EQ(run(b_->ledger.get(g.grant_id))->service_name, "default");
  EXPECT_EQ(run(b_->ledger.get(g.grant_id))->change_id, "");
  wire::transfer_report r;
  r.grant_id = under_way.grant_id;
  r.done = true;
  r.bytes = 3;
  cloud_.objects[in_ + "/up/1"] = "abc";
  EXPECT_TRUE(run(b_->grants.report(in_, r)).verified) << "what was granted before is checked as before";
  EXPECT_EQ(run(b_->provider_changes.go_back("default")).error().code(), errc::failed_precondition);
  EXPECT_EQ(run(b_->provider_changes.finish("default")).error().code(), errc::failed_precondition);
  EXPECT_TRUE(run(b_->services.remove("new")));
}

TEST_P(provider_changes_test, a_service_of_a_change_that_runs_cannot_be_removed_but_its_configuration_be_replaced) {
  begin(5);
  for (const auto* name : {"default", "new"})
    EXPECT_EQ(run(b_->services.remove(name)).error().code(), errc::failed_precondition) << name;
  auto moved = input();
  moved.options["endpoint"] = secret("https://third.example");
  ASSERT_TRUE(run(b_->services.replace("new", moved)));
  EXPECT_THAT(issue(in_).url.reveal(), HasSubstr("https://third.example/"));
  ASSERT_TRUE(run(b_->provider_changes.go_back("default")));
  ASSERT_TRUE(run(b_->services.remove("new")));
  EXPECT_EQ(view().to, "new");
  EXPECT_THAT(issue(in_, "b").url.reveal(), HasSubstr(old_url));
  ASSERT_TRUE(run(b_->services.remove("default")));
  EXPECT_EQ(run(b_->provider_changes.get("default")).error().code(), errc::not_found);
}

TEST_P(provider_changes_test, a_download_goes_where_the_object_went) {
  begin(5);
  upload_files(in_, 1, true);
  const auto download = [&](const std::string& device, const std::string& name) {
    auto r = ask("get-" + std::to_string(++asked_), name);
    r.operation = wire::blob_operation::get;
    return run(b_->grants.issue(device, r, wire::dialect::evp2)).url.reveal();
  };
  EXPECT_THAT(download(in_, "0.jpg"), HasSubstr(new_url));
  EXPECT_THAT(download(in_, "older.jpg"), HasSubstr(old_url));
  EXPECT_THAT(download(out_, "0.jpg"), HasSubstr(old_url));
  EXPECT_EQ(view().figures.to.granted, 1) << "downloads are not counted";
}

TEST_P(provider_changes_test, what_makes_no_sense_is_refused_by_the_field_that_says_it) {
  const auto refused = [&](change_input in) { return run(b_->provider_changes.put("default", in)).error(); };
  EXPECT_EQ(refused({}).field(), "to");
  auto in = to_new(5);
  in.percent.reset();
  EXPECT_EQ(refused(in).field(), "percent");
  EXPECT_EQ(refused(to_new(101)).field(), "percent");
  EXPECT_EQ(refused(to_new(5, 0)).field(), "fallBack.minimum");
  EXPECT_EQ(refused(to_new(5, 1, 101)).field(), "fallBack.errorPercent");
  in = to_new(5);
  in.window = seconds(9);
  EXPECT_EQ(refused(in).field(), "fallBack.window");
  for (const auto* to : {"default", "nobody", "acme:new", ""}) {
    in = to_new(5);
    in.to = to;
    EXPECT_EQ(refused(in).field(), "to") << to;
  }
  EXPECT_EQ(run(b_->provider_changes.get("default")).error().code(), errc::not_found);
  EXPECT_EQ(run(b_->provider_changes.go_back("default")).error().code(), errc::not_found);
  EXPECT_EQ(run(b_->provider_changes.put("nobody", to_new(5))).error().code(), errc::not_found);
  begin(5);
  ASSERT_TRUE(run(b_->services.create(input("third"))));
  in = to_new(5);
  in.to = "third";
  EXPECT_EQ(refused(in).code(), errc::failed_precondition);
  in.to = "default";
  EXPECT_EQ(run(b_->provider_changes.put("third", in)).error().code(), errc::failed_precondition) << "a chain";
  EXPECT_EQ(run(b_->provider_changes.put("new", in)).error().code(), errc::failed_precondition) << "a circle";
}

TEST_P(provider_changes_test, what_the_other_service_cannot_do_is_said_at_the_beginning) {
  auto in = input();
  in.object_name_template = "{device}/{name}";
  in.bounds.max_size = 10;
  ASSERT_TRUE(run(b_->services.replace("new", in)));
  EXPECT_THAT(begin(5).warnings, testing::ElementsAre(HasSubstr("objectNameTemplate"), HasSubstr("bounds.maxSize")));
}

TEST_P(provider_changes_test, hooks_that_are_for_the_service_asked_for_hear_of_uploads_to_the_other) {
  hook_input hook{.url = "https://hooks.example/told", .key = secret(std::string(32, 'k'))};
  hook.services = {"default"};
  ASSERT_TRUE(run(b_->hooks.put("erp", hook)));
  begin(5);
  upload_files(in_, 1, true);
  EXPECT_EQ(run(b_->hooks.get("erp"))->pending, 1u);
}

}  // namespace
}  // namespace evp::backend
