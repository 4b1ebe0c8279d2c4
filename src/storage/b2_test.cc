// The B2 driver's conversation with Backblaze: what it asks, how often, and what it makes of refusals.
#include <gmock/gmock.h>

#include "auth/credentials/test_transport.h"
#include "storage/driver.h"

namespace evp::storage {
namespace {

using auth::answered;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct b2_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  std::string limits;                             // of the key, in the login's answer
  std::map<std::string, http::response> instead;  // by call: what is answered once instead
  int logins = 0, urls = 0;
  auth::test_transport net{[this](const http::request& r) { return answer(r); }};
  std::unique_ptr<driver> b2 = make({}).value();

  http::response answer(const http::request& r) {
    const auto& url = r.url.reveal();
    const auto name = url.substr(url.rfind('/') + 1);
    if (const auto other = instead.extract(name); !other.empty()) return other.mapped();
    if (name == "b2_authorize_account")
      return answered(200, R"({"accountId":"acc","authorizationToken":"token-)" + std::to_string(++logins) +
                               R"(","apiInfo":{"storageApi":{)" + limits +
                               R"("apiUrl":"https://api9.example","downloadUrl":"https://f9.example"}}})");
    if (name == "b2_list_buckets") return answered(200, R"({"buckets":[{"bucketName":"my-fleet","bucketId":"b-1"}]})");
    if (name == "b2_get_upload_url" || name == "b2_get_upload_part_url") {
      const auto n = std::to_string(++urls);
      return answered(
          200, R"({"uploadUrl":"https://pod.example/up/)" + n + R"(","authorizationToken":"upload-)" + n + "\"}");
    }
    if (name == "b2_get_download_authorization") return answered(200, R"({"authorizationToken":"download"})");
    return answered(404, R"({"code":"not_found"})");
  }
  result<std::unique_ptr<driver>> make(std::map<std::string, std::string> more) {
    std::map<std::string, std::string> given{
        {"applicationKeyId", "0014id"}, {"applicationKey", "K001secret"}, {"bucket", "my-fleet"}};
    for (const auto& [name, value] : more) given[name] = value;
    option_values values;
    for (const auto& [name, value] : given) values.set(name, secret(value), true);
    TRY(auto made, (*find_driver_type("B2"))->make(values, driver_context{net, clock}));
    return std::move(made.instance);
  }
  template <class T>
  T run(io::task<T> t) {
    io::asio::io_context ctx;
    return http::run(ctx, std::move(t));
  }
  result<signed_request> sign(operation op = operation::put, std::string object = "cam/a b.jpg",
                              http::headers fields = {}) {
    sign_spec s;
    s.op = op;
    s.object = std::move(object);
    s.fields = std::move(fields);
    return run(b2->sign(std::move(s)));
  }
  result<signed_request> part(unsigned n) {
    sign_spec s;
    s.object = "big";
    return run(b2->sign_part(std::move(s), "upload-id", {n, 0, 5}));
  }
  std::vector<std::string> asked() const {
    std::vector<std::string> out;
    for (const auto& r : net.seen) out.push_back(r.url.reveal().substr(r.url.reveal().rfind('/') + 1));
    return out;
  }
};

TEST_F(b2_test, each_grant_is_an_upload_url_of_its_own_and_login_and_bucket_are_looked_up_once) {
  const auto first = sign(operation::put, "cam/\xc3\xa4 b.jpg", {{"X-Bz-Info-fleet", "north%207"}}), second = sign();
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_THAT(asked(),
              ElementsAre("b2_authorize_account", "b2_list_buckets", "b2_get_upload_url", "b2_get_upload_url"));
  EXPECT_EQ(first->method, "POST");
  EXPECT_EQ(first->url.reveal(), "https://pod.example/up/1");
  EXPECT_EQ(first->fields, (http::headers{{"Authorization", "upload-1"},
                                          {"X-Bz-File-Name", "cam/%C3%A4%20b.jpg"},
                                          {"X-Bz-Content-Sha1", "do_not_verify"},
                                          {"Content-Type", "b2/x-auto"},
                                          {"X-Bz-Info-fleet", "north%207"}}));
  EXPECT_EQ(first->expires_at, clock.now() + seconds(120));
  EXPECT_EQ(second->url.reveal(), "https://pod.example/up/2");
}

TEST_F(b2_test, a_download_is_authorized_for_its_name_and_its_time) {
  const auto g = sign(operation::get);
  ASSERT_TRUE(g);
  EXPECT_EQ(g->url.reveal(), "https://f9.example/file/my-fleet/cam/a%20b.jpg");
  EXPECT_EQ(http::find(g->fields, "Authorization"), "download");
  EXPECT_EQ(auth::body_of(net.last()),
            R"({"bucketId":"b-1","fileNamePrefix":"cam/a b.jpg","validDurationInSeconds":120})");
}

TEST_F(b2_test, a_token_that_is_refused_before_its_time_is_fetched_anew_once) {
  ASSERT_TRUE(sign());
  clock.advance(std::chrono::minutes(1));
  for (const auto* code : {"bad_auth_token", "expired_auth_token"}) {
    instead["b2_get_upload_url"] = answered(401, std::string(R"({"code":")") + code + "\"}");
    EXPECT_EQ(sign().error().code(), errc::unauthenticated);
    const auto before = logins;
    ASSERT_TRUE(sign());
    ASSERT_TRUE(sign());
    EXPECT_EQ(logins, before + 1);
    clock.advance(std::chrono::minutes(1));
  }
}

TEST_F(b2_test, a_capability_that_lacks_is_named_and_the_token_is_kept) {
  ASSERT_TRUE(sign());
  instead["b2_get_upload_url"] = answered(401, R"({"code":"unauthorized"})");
  const auto g = sign();
  EXPECT_EQ(g.error().code(), errc::permission_denied);
  EXPECT_THAT(g.error().message(), HasSubstr("writeFiles"));
  ASSERT_TRUE(sign());
  EXPECT_EQ(logins, 1);
}

TEST_F(b2_test, a_cap_of_the_account_is_said_to_be_one) {
  instead["b2_get_upload_url"] = answered(403, R"({"code":"storage_cap_exceeded"})");
  const auto g = sign();
  EXPECT_EQ(g.error().code(), errc::rate_limited);
  EXPECT_THAT(g.error().message(), HasSubstr("cap"));
  instead["b2_list_parts"] = answered(403, R"({"code":"transaction_cap_exceeded"})");
  EXPECT_EQ(run(b2->list_parts("x", "id")).error().code(), errc::rate_limited) << "not as if the upload were gone";
  instead["b2_list_parts"] = answered(400, R"({"code":"bad_request"})");
  EXPECT_EQ(run(b2->list_parts("x", "id")).error().code(), errc::not_found);
}

TEST_F(b2_test, a_bucket_of_somebody_else_is_said_to_be_one) {
  instead["b2_list_buckets"] = answered(200, R"({"buckets":[]})");
  instead["b2_create_bucket"] = answered(400, R"({"code":"duplicate_bucket_name"})");
  const auto done = run(b2->prepare());
  EXPECT_EQ(done.error().code(), errc::already_exists);
  EXPECT_EQ(done.error().field(), "bucket");
}

TEST_F(b2_test, a_key_of_one_bucket_needs_no_list_and_serves_no_other) {
  limits = R"("bucketId":"b-7","bucketName":"my-fleet",)";
  ASSERT_TRUE(sign());
  EXPECT_THAT(asked(), ElementsAre("b2_authorize_account", "b2_get_upload_url"));
  EXPECT_EQ(auth::body_of(net.last()), R"({"bucketId":"b-7"})");
  b2 = *make({{"bucket", "other-fleet"}});
  EXPECT_EQ(sign().error().field(), "bucket");
}

TEST_F(b2_test, a_key_of_a_prefix_signs_no_name_beyond_it) {
  limits = R"("namePrefix":"cam/",)";
  EXPECT_TRUE(sign());
  EXPECT_EQ(sign(operation::put, "door/x").error().code(), errc::invalid_argument);
  EXPECT_EQ(sign(operation::get, "ca").error().code(), errc::invalid_argument);
}

TEST_F(b2_test, names_and_fields_that_backblaze_refuses_are_refused_here) {
  EXPECT_TRUE(sign(operation::put, std::string(250, 'a') + "/" + std::string(250, 'b')));
  EXPECT_EQ(sign(operation::put, std::string(251, 'a')).error().code(), errc::invalid_argument);
  EXPECT_EQ(sign(operation::put, "x", {{"Content-Encoding", "gzip"}}).error().field(), "headers");
  EXPECT_EQ(sign(operation::put, "x", {{"X-Bz-Info-a", "%zz"}}).error().field(), "headers");
}

TEST_F(b2_test, an_upload_that_lives_longer_than_the_token_is_cut_down_to_it) {
  ASSERT_TRUE(sign());
  sign_spec s;
  s.object = "x";
  s.lifetime = std::chrono::hours(24);
  clock.advance(std::chrono::hours(2));
  EXPECT_EQ(run(b2->sign(s))->expires_at, clock.now() + std::chrono::hours(22));
}

TEST_F(b2_test, the_parts_of_a_page_share_a_url_and_one_that_is_asked_for_again_gets_another) {
  for (unsigned n = 1; n <= 5; ++n) {
    const auto g = part(n);
    ASSERT_TRUE(g);
    EXPECT_EQ(g->url.reveal(), "https://pod.example/up/1");
    EXPECT_EQ(http::find(g->fields, "X-Bz-Part-Number"), std::to_string(n));
  }
  EXPECT_EQ(part(3)->url.reveal(), "https://pod.example/up/2");
  EXPECT_EQ(part(4)->url.reveal(), "https://pod.example/up/2");
  clock.advance(std::chrono::minutes(1));
  EXPECT_EQ(part(5)->url.reveal(), "https://pod.example/up/3") << "another page";
}

TEST_F(b2_test, a_retired_driver_signs_no_more_and_forgets_its_token) {
  ASSERT_TRUE(sign());
  b2->retire();
  EXPECT_EQ(sign().error().code(), errc::failed_precondition);
  EXPECT_EQ(part(1).error().code(), errc::failed_precondition);
  EXPECT_EQ(run(b2->stat("x")).error().code(), errc::not_found);
  EXPECT_EQ(logins, 2);
}

TEST_F(b2_test, a_wrong_key_shows_in_the_health_and_in_no_error_text) {
  instead["b2_authorize_account"] = answered(401, R"({"code":"bad_auth_token","message":"K001secret"})");
  const auto g = sign();
  EXPECT_EQ(g.error().code(), errc::unauthenticated);
  EXPECT_THAT(g.error().message(), Not(HasSubstr("K001secret")));
  EXPECT_FALSE(b2->health()->healthy);
}

TEST_F(b2_test, the_option_that_is_wrong_is_named) {
  const auto field = [&](std::map<std::string, std::string> more) {
    const auto made = make(std::move(more));
    return made ? "accepted" : made.error().field();
  };
  EXPECT_EQ(field({{"applicationKeyId", "a:b"}}), "applicationKeyId");
  EXPECT_EQ(field({{"applicationKey", "a b"}}), "applicationKey");
  EXPECT_EQ(field({{"bucket", "short"}}), "bucket");
  EXPECT_EQ(field({{"bucket", "b2-fleet"}}), "bucket");
  EXPECT_EQ(field({{"endpoint", "http://api.backblazeb2.com"}}), "endpoint");
  EXPECT_EQ(field({{"endpoint", "https://api.backblazeb2.com/b2api"}}), "endpoint");
}

}  // namespace
}  // namespace evp::storage
