#include "backend/services.h"

#include "backend/test_world.h"
#include "storage/local_store.h"

namespace evp::backend {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct services_test : world {
  error refused(service_input in) {
    auto r = run(b_->services.create(std::move(in)));
    EXPECT_FALSE(r);
    EXPECT_THAT(b_->services.list(), IsEmpty());
    return r ? error(errc::internal, "accepted") : r.error();
  }
  service_input with(std::string option, std::variant<secret, bool> v) {
    auto in = input();
    in.options[option] = std::move(v);
    return in;
  }
};

TEST_F(services_test, the_first_service_is_the_default_one_and_makes_its_container) {
  const auto made = run(b_->services.create(input()));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->service.name, "default");
  EXPECT_EQ(made->service.expiration, milliseconds(120'000));
  EXPECT_THAT(made->warnings, IsEmpty());
  EXPECT_EQ(cloud_.prepared, 1);
  EXPECT_THAT(checked_, ElementsAre("https://storage.example"));
}

TEST_F(services_test, a_second_service_without_a_name_is_told_how_to_go_on) {
  add_default_service();
  const auto r = run(b_->services.create(input()));
  EXPECT_EQ(r.error().code(), errc::already_exists);
  EXPECT_EQ(r.error().field(), "name");
  EXPECT_THAT(r.error().message(), HasSubstr("PUT /v1/storage-access-services/default"));
  EXPECT_TRUE(run(b_->services.create(input("other"))));
}

TEST_F(services_test, secrets_are_neither_shown_nor_readable_in_the_database_file) {
  add_default_service();
  const auto v = b_->services.get("default").value();
  for (const auto& o : v.options) EXPECT_EQ(o.value.empty(), o.is_secret) << o.name;
  close();
  for (const auto& f : io::fs::directory_iterator(folder_.path())) {
    if (!f.is_regular_file()) continue;
    EXPECT_THAT(io::read_file(f.path(), 10 << 20).value(), Not(HasSubstr("the-secret-key"))) << f.path();
  }
}

TEST_F(services_test, services_come_back_after_a_restart_able_to_sign) {
  auto in = input("cold");
  in.headers = {{"x-b", "2"}, {"x-a", "1"}};
  in.expiration_duration = "PT5M";
  ASSERT_TRUE(run(b_->services.create(in)));
  reopen();
  const auto s = b_->services.find(std::string("cold")).value();
  EXPECT_EQ(s->view.expiration, milliseconds(300'000));
  EXPECT_EQ(s->view.headers, in.headers);
  EXPECT_EQ(s->view.endpoint, "https://storage.example");
  EXPECT_TRUE(run(s->driver->sign({.object = "x"})));
}

TEST_F(services_test, a_credential_out_of_reach_is_a_warning_and_a_spec_that_cannot_be_signed_a_refusal) {
  cloud_.sign_failure = error(errc::unavailable, "the token endpoint does not answer");
  const auto saved = run(b_->services.create(input("later")));
  ASSERT_TRUE(saved) << saved.error().message();
  EXPECT_THAT(saved->warnings, Contains(HasSubstr("the token endpoint does not answer")));
  cloud_.sign_failure = error(errc::invalid_argument, "too long for this storage").at("expirationDuration");
  EXPECT_EQ(run(b_->services.create(input("never"))).error().field(), "expirationDuration");
  EXPECT_FALSE(b_->services.get("never"));
}

TEST_F(services_test, a_changed_or_removed_service_drops_its_credentials_at_once) {
  add_default_service();
  EXPECT_EQ(cloud_.retired, 0);
  ASSERT_TRUE(run(b_->services.replace("default", input())));
  EXPECT_EQ(cloud_.retired, 1);
  ASSERT_TRUE(run(b_->services.remove("default")));
  EXPECT_EQ(cloud_.retired, 2);
}

TEST_F(services_test, health_is_that_of_the_credentials_and_without_such_that_of_the_last_preparation) {
  const auto begin = clock_.now();
  add_default_service();
  EXPECT_TRUE(b_->services.health("default")->healthy);
  EXPECT_EQ(b_->services.health("default")->since, begin);
  cloud_.health = auth::credential_health{false, errc::unauthenticated, "the secret was revoked", begin + seconds(5)};
  const auto ill = *b_->services.health("default");
  EXPECT_FALSE(ill.healthy);
  EXPECT_EQ(ill.code, errc::unauthenticated);
  EXPECT_EQ(ill.reason, "the secret was revoked");
  EXPECT_EQ(ill.since, begin + seconds(5));
  cloud_.health.reset();
  cloud_.failure = error(errc::permission_denied, "the key may not write");
  clock_.advance(seconds(60));
  ASSERT_TRUE(run(b_->services.replace("default", input())));
  EXPECT_FALSE(b_->services.health("default")->healthy);
  EXPECT_EQ(b_->services.health("default")->reason, "the key may not write");
  EXPECT_EQ(b_->services.health("default")->since, clock_.now());
  EXPECT_EQ(b_->services.health("nobody").error().code(), errc::not_found);
}

TEST_F(services_test, the_guard_judges_every_place_that_a_service_names_before_anything_is_sent) {
  auto in = input();
  in.options.insert_or_assign("tokenUrl", secret("http://169.254.169.254/latest"));
  const auto refused = run(b_->services.create(std::move(in)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field(), "tokenUrl");
  EXPECT_TRUE(cloud_.signs.empty());
  EXPECT_FALSE(b_->services.get("default"));
}

TEST_F(services_test, a_key_of_several_lines_is_taken_and_a_text_of_several_lines_is_not) {
  auto in = input("pem");
  in.options.insert_or_assign("key", secret("-----BEGIN\nabc\n-----END\n"));
  EXPECT_TRUE(run(b_->services.create(in)));
  in.name = "other";
  in.options.insert_or_assign("endpoint", secret("https://a.example\n"));
  EXPECT_EQ(run(b_->services.create(in)).error().field(), "endpoint");
}

TEST_F(services_test, another_master_key_stops_the_start_instead_of_losing_services) {
  add_default_service();
  close();
  ASSERT_TRUE(io::write_file_durably(folder_.path() / "master.key", std::string(64, 'a')));
  EXPECT_THROW(open(), std::runtime_error);
  b_.reset();
}

TEST_F(services_test, every_wrong_field_is_named_and_nothing_is_stored) {
  auto in = input();
  in.type = "FTP";
  EXPECT_EQ(refused(in).field(), "type");
  EXPECT_THAT(refused(in).message(), HasSubstr("FAKE"));

  const auto unknown = refused(with("bukket", secret("x")));
  EXPECT_EQ(unknown.field(), "bukket");
  EXPECT_THAT(unknown.message(), HasSubstr("endpoint, key, tokenUrl, pathStyle"));
  EXPECT_EQ(refused(with("pathStyle", secret("true"))).field(), "pathStyle");
  EXPECT_EQ(refused(with("key", true)).field(), "key");
  EXPECT_EQ(refused(with("key", secret(""))).field(), "key");
  EXPECT_EQ(refused(with("key", secret("a\x01"
                                       "b")))
                .field(),
            "key");
  EXPECT_EQ(refused(with("key", secret("bad"))).field(), "key");
  EXPECT_EQ(refused(with("key", secret(std::string(20'000, 'k')))).field(), "key");

  in = input("../x");
  EXPECT_EQ(refused(in).field(), "name");
  in = input();
  in.certificate = "no pem";
  EXPECT_EQ(refused(in).field(), "certificate");
  in.certificate = std::string(70'000, 'x');
  EXPECT_EQ(refused(in).code(), errc::too_large);
  in = input();
  in.object_name_template = "{nobody}/{name}";
  EXPECT_EQ(refused(in).field(), "objectNameTemplate");
}

TEST_F(services_test, durations_outside_the_vendor_s_limits_are_refused_with_the_limits) {
  for (const auto* text : {"PT0.5S", "PT2H", "2 minutes", "P1M", "PT0S"}) {
    auto in = input();
    in.expiration_duration = text;
    const auto e = refused(in);
    EXPECT_EQ(e.field(), "expirationDuration") << text;
    EXPECT_THAT(e.message(), HasSubstr("PT1S to PT1H"));
  }
}

TEST_F(services_test, offline_grants_live_from_the_expiration_to_what_the_vendor_allows) {
  cloud_.enforces = {storage::bound::object, storage::bound::expiry};
  for (const auto* text : {"PT119S", "PT1H0.001S", "P8D", "a day", "PT0S"}) {
    auto in = input();
    in.offline_duration = text;
    const auto e = refused(in);
    EXPECT_EQ(e.field(), "offlineGrantDuration") << text;
    EXPECT_THAT(e.message(), HasSubstr("from PT2M (the expirationDuration) to PT1H"));
  }
  auto in = input();
  in.offline_duration = "PT1H";
  ASSERT_TRUE(run(b_->services.create(in)));
  EXPECT_EQ(cloud_.signs.back().lifetime, std::chrono::hours(1)) << "the trial is with the longest life";
  reopen();
  EXPECT_EQ(b_->services.get("default")->offline, std::chrono::hours(1));
  ASSERT_TRUE(run(b_->services.replace("default", input())));
  EXPECT_EQ(b_->services.get("default")->offline, std::nullopt);
}

TEST_F(services_test, a_storage_that_binds_no_grant_to_an_object_and_a_time_gives_no_offline_grants) {
  auto in = input();
  in.offline_duration = "PT1H";
  for (const storage::bounds enforced : {storage::bounds{}, {storage::bound::object}, {storage::bound::expiry}}) {
    cloud_.enforces = enforced;
    const auto e = refused(in);
    EXPECT_EQ(e.field(), "offlineGrantDuration");
    EXPECT_THAT(e.message(), HasSubstr("leave offlineGrantDuration out"));
  }
}

TEST_F(services_test, headers_that_break_a_request_or_are_not_the_service_s_are_refused) {
  const http::headers bad[] = {{{"Host", "x"}},
                               {{"content-length", "1"}},
                               {{"Authorization", "x"}},
                               {{"a b", "x"}},
                               {{"", "x"}},
                               {{"x-a", "1\r\nx-b: 2"}},
                               {{"x-a", "1"}, {"X-A", "2"}},
                               {{"x-a", " 1"}},
                               http::headers(33, {"x-a", "1"})};
  for (const auto& h : bad) {
    auto in = input();
    in.headers = h;
    EXPECT_EQ(refused(in).field(), "headers") << h[0].name;
  }
}

TEST_F(services_test, a_forbidden_address_is_refused_at_the_endpoint) {
  const auto e = refused(with("endpoint", secret("http://169.254.169.254")));
  EXPECT_EQ(e.code(), errc::permission_denied);
  EXPECT_EQ(e.field(), "endpoint");
}

TEST_F(services_test, a_storage_out_of_reach_is_a_warning_and_is_tried_again_before_a_grant) {
  cloud_.failure = error(errc::unavailable, "no route");
  const auto made = run(b_->services.create(input()));
  ASSERT_TRUE(made);
  ASSERT_EQ(made->warnings.size(), 1u);
  EXPECT_THAT(made->warnings[0], HasSubstr("no route"));

  add_device();
  cloud_.failure.reset();
  clock_.advance(milliseconds(31'000));
  ASSERT_FALSE(run(b_->grants.issue("cam-1", ask("1"), wire::dialect::evp2)).failure);
  ASSERT_FALSE(run(b_->grants.issue("cam-1", ask("2"), wire::dialect::evp2)).failure);
  EXPECT_EQ(cloud_.prepared, 2);
}

TEST_F(services_test, a_replaced_service_signs_for_the_new_place_at_once) {
  add_default_service();
  const auto changed = run(b_->services.replace("default", with("endpoint", secret("https://other.example"))));
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->service.revision, 2);
  EXPECT_EQ(b_->services.get("default")->endpoint, "https://other.example");
  EXPECT_THAT(run(b_->services.find({}).value()->driver->sign({.object = "x"}))->url.reveal(),
              HasSubstr("other.example"));
  EXPECT_EQ(run(b_->services.replace("nobody", input())).error().code(), errc::not_found);
  EXPECT_EQ(run(b_->services.replace("default", input("renamed"))).error().field(), "name");
}

TEST_F(services_test, a_replacement_that_is_refused_leaves_the_service_as_it_was) {
  add_default_service();
  EXPECT_FALSE(run(b_->services.replace("default", with("key", secret("bad")))));
  EXPECT_EQ(b_->services.get("default")->revision, 1);
  reopen();
  EXPECT_EQ(b_->services.get("default")->revision, 1);
}

TEST_F(services_test, a_removed_service_is_gone_for_good) {
  add_default_service();
  ASSERT_TRUE(run(b_->services.remove("default")));
  EXPECT_EQ(b_->services.find({}).error().code(), errc::not_found);
  EXPECT_EQ(run(b_->services.remove("default")).error().code(), errc::not_found);
  reopen();
  EXPECT_THAT(b_->services.list(), IsEmpty());
}

TEST_F(services_test, an_unknown_key_is_not_the_default_service) {
  add_default_service();
  EXPECT_TRUE(b_->services.find({}));
  const auto r = b_->services.find(std::string("elsewhere"));
  ASSERT_FALSE(r);
  EXPECT_THAT(r.error().message(), HasSubstr("elsewhere"));
}

TEST_F(services_test, a_test_walks_a_canary_through_its_life_and_leaves_nothing) {
  add_default_service();
  const auto report = run(b_->services.test("default")).value();
  EXPECT_TRUE(report.ok());
  std::vector<std::string> names;
  for (const auto& s : report.steps) names.push_back(s.name);
  EXPECT_THAT(names, ElementsAre("prepare", "put", "stat", "get", "remove"));
  EXPECT_THAT(cloud_.objects, IsEmpty());
}

TEST_F(services_test, a_test_says_which_step_failed_and_why_and_still_cleans_up) {
  add_default_service();
  cloud_.lies_about_size = true;
  const auto report = run(b_->services.test("default")).value();
  ASSERT_EQ(report.steps.size(), 4u);
  EXPECT_EQ(report.steps[2].name, "stat");
  EXPECT_EQ(report.steps[2].failure->code(), errc::data_corrupt);
  EXPECT_EQ(report.steps[3].name, "remove");
  EXPECT_THAT(cloud_.objects, IsEmpty());

  cloud_.failure = error(errc::unauthenticated, "wrong key");
  const auto dead = run(b_->services.test("default")).value();
  ASSERT_EQ(dead.steps.size(), 1u);
  EXPECT_EQ(dead.steps[0].failure->message(), "wrong key");
  EXPECT_EQ(run(b_->services.test("nobody")).error().code(), errc::not_found);
}

struct real_drivers_test : world {
  real_drivers_test() {
    close();
    types_ = {};
    open();
  }
};

TEST_F(real_drivers_test, the_built_in_store_needs_no_option_and_its_urls_outlive_a_restart_of_the_backend) {
  service_input in;
  in.type = "LOCAL";
  const auto made = run(b_->services.create(in));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_THAT(checked_, IsEmpty());
  EXPECT_TRUE(run(b_->services.test("default"))->ok());
  add_device();
  const auto g = run(b_->grants.issue("cam-1", ask("1"), wire::dialect::evp2));
  ASSERT_FALSE(g.failure);
  reopen();
  const auto& url = g.url.reveal();
  const auto path = url.find("/objects/");
  const auto query = url.find('?');
  ASSERT_NE(path, url.npos);
  const auto access = storage::verify_local_url(b_->local_signing_key(), "PUT", url.substr(path, query - path),
                                                url.substr(query + 1), clock_.now());
  ASSERT_TRUE(access) << access.error().message();
  EXPECT_EQ(access->object, "cam-1/up/a.jpg");
}

TEST_F(real_drivers_test, the_announcement_s_body_is_accepted_and_its_endpoint_judged) {
  service_input in;
  in.type = "AZURE";
  in.options = {
      {"endpoint", secret("http://someblob.core.windows.net")},
      {"connectionString", secret("DefaultEndpointsProtocol=https;AccountName=someblob;AccountKey=c2VjcmV0c2VjcmV0;"
                                  "EndpointSuffix=core.windows.net")}};
  in.headers = {{"x-ms-blob-type", "BlockBlob"}};
  in.expiration_duration = "PT2M";
  const auto made = run(b_->services.create(in));
  ASSERT_TRUE(made) << made.error().field() << ": " << made.error().message();
  EXPECT_THAT(checked_, ElementsAre(HasSubstr("someblob.core.windows.net")));
  EXPECT_GE(made->warnings.size(), 1u);  // no network in this test
  in.name = "bad";
  in.options["connectionString"] = secret("AccountName=a;AccountKey=***");
  const auto bad = run(b_->services.create(in));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().field(), "connectionString");
  EXPECT_EQ(b_->services.list().size(), 1u);
}

}  // namespace
}  // namespace evp::backend
