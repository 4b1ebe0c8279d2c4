// Drivers whose credentials are fetched: what their grants owe to the credential that signed them.
#include <gmock/gmock.h>

#include "auth/credentials/test_transport.h"
#include "io/test_folder.h"
#include "storage/driver.h"

namespace evp::storage {
namespace {

using auth::answered;
using auth::form_of;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view web_token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";

/// One double for every issuer: tokens live for `life`, unless the issuer is down or refuses.
struct fetched_credentials_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  io::temporary_folder folder;
  milliseconds life = std::chrono::hours(1);
  int status = 200, issued = 0;
  std::vector<std::string> revoked;  ///< URLs of the resource manager, and who asked
  std::vector<std::string> asked;    ///< of the token service, decoded
  auth::test_transport net{[this](const http::request& r) { return answer(r); }};
  std::vector<std::string> warnings;
  std::vector<made_driver::other_endpoint> others;

  http::response answer(const http::request& r) {
    const auto& url = r.url.reveal();
    if (status != 200) return answered(status);
    const auto dies = format_rfc3339_seconds(clock.now() + life);
    if (url.ends_with("/v1/token")) return answered(200, R"({"access_token":"federated","expires_in":3600})");
    if (url.ends_with(":generateAccessToken"))
      return answered(200, R"({"accessToken":"impersonated","expireTime":")" + dies + "\"}");
    if (url.ends_with(":signBlob")) {
      ++issued;
      return answered(200, R"({"keyId":"k","signedBlob":"c2lnbmVk"})");
    }
    if (url.starts_with("https://sts.") || url == "https://s3.example:9000/") {
      const auto n = std::to_string(++issued);
      asked.push_back(percent_decode(std::get<std::string>(r.body)).value());
      return answered(200, "<R><Credentials><AccessKeyId>ASIA" + n +
                               "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t" + n +
                               "</SessionToken><Expiration>" + dies + "</Expiration></Credentials></R>");
    }
    if (url.starts_with("https://login.")) return answered(200, R"({"access_token":"token","expires_in":3600})");
    if (url.starts_with("https://management.azure.com/")) {
      revoked.push_back(url + " " + std::string(http::find(r.fields, "Authorization")));
      return answered(200);
    }
    if (url.find("userdelegationkey") != url.npos) {
      ++issued;
      return answered(
          200,
          "<UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid><SignedStart>2026-11-22T17:55:00Z"
          "</SignedStart><SignedExpiry>" +
              dies +
              "</SignedExpiry><SignedService>b</SignedService><SignedVersion>"
              "2022-11-02</SignedVersion><Value>a2V5</Value></UserDelegationKey>");
    }
    return answered(404);
  }

  result<std::unique_ptr<driver>> make(std::string_view type, std::map<std::string, std::string> options) {
    option_values values;
    for (const auto& [name, value] : options) values.set(name, secret(value), true);
    driver_context c{net, clock};
    c.token_folders = auth::token_folders({folder.path()});
    TRY(auto made, (*find_driver_type(type))->make(values, c));
    warnings = made.warnings;
    others = made.others;
    return std::move(made.instance);
  }
  static std::map<std::string, std::string> role() {
    return {{"region", "eu-central-1"},
            {"bucket", "fleet"},
            {"accessKeyId", "AKIA1"},
            {"secretAccessKey", "base"},
            {"roleArn", "arn:aws:iam::123456789012:role/fleet"}};
  }
  static std::map<std::string, std::string> application() {
    return {{"endpoint", "https://acc.blob.core.windows.net"},
            {"tenantId", "t-1"},
            {"clientId", "c-1"},
            {"clientSecret", "cs"}};
  }
  std::map<std::string, std::string> workload() {
    EXPECT_TRUE(io::write_file_durably(folder.path() / "token", web_token));
    return {{"bucket", "fleet"},
            {"audience", "//iam.googleapis.com/x"},
            {"subjectTokenFile", (folder.path() / "token").string()},
            {"serviceAccount", "fleet@p.iam.gserviceaccount.com"}};
  }
  template <class T>
  T run(io::task<T> t) {
    io::asio::io_context ctx;
    auto out = http::run(ctx, std::move(t));
    ctx.restart();
    ctx.poll();  // flights in the background
    return out;
  }
  result<signed_request> sign(driver& d, milliseconds lifetime = seconds(120)) {
    sign_spec s;
    s.object = "a.jpg";
    s.lifetime = lifetime;
    return run(d.sign(std::move(s)));
  }
  std::string refused_field(std::string_view type, std::map<std::string, std::string> options) {
    const auto made = make(type, std::move(options));
    return made ? "accepted" : made.error().field();
  }
  /// The driver types whose grants are signed with something fetched.
  std::vector<std::unique_ptr<driver>> both() {
    std::vector<std::unique_ptr<driver>> out;
    out.push_back(std::move(*make("AWS", role())));
    out.push_back(std::move(*make("AZURE", application())));
    return out;
  }
};

TEST_F(fetched_credentials_test, a_grant_is_signed_with_the_credential_and_a_second_one_fetches_nothing) {
  const auto aws = *make("AWS", role());
  EXPECT_THAT(sign(*aws)->url.reveal(), HasSubstr("X-Amz-Security-Token=t1"));
  EXPECT_THAT(sign(*aws)->url.reveal(), HasSubstr("Credential=ASIA1%2F"));
  EXPECT_EQ(net.seen.size(), 1u);
  const auto azure = *make("AZURE", application());
  EXPECT_THAT(sign(*azure)->url.reveal(), HasSubstr("skoid=oid"));
  EXPECT_THAT(sign(*azure)->url.reveal(), HasSubstr("ske="));
  EXPECT_EQ(net.seen.size(), 3u);
}

TEST_F(fetched_credentials_test, a_grant_never_outlives_the_credential_that_signed_it) {
  life = std::chrono::minutes(20);
  for (const auto& d : both()) {
    const auto g = sign(*d, std::chrono::hours(2));
    ASSERT_TRUE(g) << g.error().message();
    EXPECT_EQ(g->expires_at, clock.now() + life);
  }
}

TEST_F(fetched_credentials_test, a_credential_with_too_little_left_signs_nothing_and_the_error_says_what_to_do) {
  for (const auto& d : both()) {
    ASSERT_TRUE(sign(*d));
    clock.advance(life - seconds(20));
    status = 503;
    const auto g = sign(*d);
    ASSERT_FALSE(g);
    EXPECT_EQ(g.error().code(), errc::unavailable);
    EXPECT_THAT(g.error().message(), HasSubstr("expire"));
    EXPECT_TRUE(g.error().retry_after());
    EXPECT_TRUE(sign(*d, seconds(10))) << "a short grant still fits";
    status = 200;
  }
}

TEST_F(fetched_credentials_test, a_new_credential_replaces_the_old_one_in_the_signatures) {
  const auto aws = *make("AWS", role());
  ASSERT_TRUE(sign(*aws));
  clock.advance(std::chrono::minutes(52));
  ASSERT_TRUE(sign(*aws));  // begins the renewal
  EXPECT_THAT(sign(*aws)->url.reveal(), HasSubstr("Credential=ASIA2%2F"));
}

TEST_F(fetched_credentials_test, a_session_for_each_device_can_do_nothing_outside_its_names) {
  auto options = role();
  options["sessionPerDevice"] = "true";
  const auto aws = *make("AWS", options);
  const auto signed_by = [&](const std::string& object, const std::string& address = {}) {
    sign_spec s;
    s.object = object;
    s.source_address = address;
    const auto url = run(aws->sign(std::move(s)))->url.reveal();
    const auto at = url.find("Credential=") + 11;
    return url.substr(at, url.find('%', at) - at);
  };
  const auto one = signed_by("cam-1/a.jpg");
  EXPECT_THAT(asked.back(), HasSubstr(R"("arn:aws:s3:::fleet/cam-1/*")"));
  EXPECT_EQ(signed_by("cam-1/deep/b.jpg"), one);
  EXPECT_EQ(issued, 1) << "one session for all of a device's files";
  EXPECT_NE(signed_by("cam-2/a.jpg"), one);
  EXPECT_THAT(asked.back(), HasSubstr(R"("arn:aws:s3:::fleet/cam-2/*")"));
  EXPECT_NE(signed_by("cam-1/a.jpg", "192.0.2.1"), one) << "from there only";
  EXPECT_THAT(asked.back(), HasSubstr(R"("aws:SourceIp":"192.0.2.1")"));

  sign_spec wild;
  wild.object = "*/a.jpg";
  EXPECT_EQ(run(aws->sign(std::move(wild))).error().field(), "objectNameTemplate");
  aws->retire();
  for (const auto* object : {"cam-1/a.jpg", "cam-3/a.jpg"}) {  // with a session, and without one yet
    sign_spec after;
    after.object = object;
    EXPECT_EQ(run(aws->sign(std::move(after))).error().code(), errc::failed_precondition);
  }
}

TEST_F(fetched_credentials_test, sessions_that_nobody_used_for_long_give_way) {
  auto options = role();
  options["sessionPerDevice"] = "true";
  const auto aws = *make("AWS", options);
  const auto use = [&](int n) {
    sign_spec s;
    s.object = "cam-" + std::to_string(n) + "/a.jpg";
    ASSERT_TRUE(run(aws->sign(std::move(s))));
  };
  for (int n = 0; n < 1000; ++n) use(n);
  use(0);
  EXPECT_EQ(issued, 1000);
  use(1000);  // takes the place of cam-1, the one used longest ago
  use(0);
  EXPECT_EQ(issued, 1001);
  use(1);
  EXPECT_EQ(issued, 1002);
}

TEST_F(fetched_credentials_test, an_address_is_bound_by_the_session_of_a_role_only) {
  EXPECT_TRUE((*make("AWS", role()))->caps().enforces.has(bound::source_address));
  auto keys = role();
  keys.erase("roleArn");
  EXPECT_FALSE((*make("AWS", keys))->caps().enforces.has(bound::source_address));
  keys["sessionPerDevice"] = "true";
  EXPECT_EQ(refused_field("AWS", keys), "roleArn");
}

TEST_F(fetched_credentials_test, a_retired_driver_forgets_its_credential_and_signs_no_more_but_can_still_look) {
  for (const auto& d : both()) {
    ASSERT_TRUE(sign(*d));
    d->retire();
    EXPECT_EQ(sign(*d).error().code(), errc::failed_precondition);
    const auto before = issued;
    EXPECT_EQ(run(d->stat("a.jpg")).error().code(), errc::not_found);
    EXPECT_EQ(issued, before + 1) << "the credential was fetched anew: none was kept";
  }
}

TEST_F(fetched_credentials_test, a_driver_with_given_keys_signs_no_more_either_once_it_is_retired) {
  auto keys = role();
  keys.erase("roleArn");
  const auto d = *make("AWS", keys);
  ASSERT_TRUE(sign(*d));
  d->retire();
  EXPECT_EQ(sign(*d).error().code(), errc::failed_precondition);
}

TEST_F(fetched_credentials_test, health_tells_how_fetching_goes_and_is_silent_for_given_keys) {
  for (const auto& d : both()) {
    EXPECT_TRUE(d->health()->healthy);
    status = 401;
    EXPECT_EQ(sign(*d).error().code(), errc::unauthenticated);
    EXPECT_FALSE(d->health()->healthy);
    EXPECT_EQ(d->health()->code, errc::unauthenticated);
    status = 200;
  }
  auto keys = role();
  keys.erase("roleArn");
  EXPECT_FALSE((*make("AWS", keys))->health());
}

TEST_F(fetched_credentials_test, the_role_is_asked_for_with_a_policy_narrowed_to_the_bucket) {
  auto options = role();
  options["externalId"] = "tenant-7";
  ASSERT_TRUE(sign(**make("AWS", options)));
  auto sent = form_of(net.last());
  EXPECT_EQ(sent["ExternalId"], "tenant-7");
  EXPECT_THAT(sent["Policy"], HasSubstr("arn:aws:s3:::fleet/*"));
  EXPECT_EQ(net.last().url.reveal(), "https://sts.eu-central-1.amazonaws.com/");
}

TEST_F(fetched_credentials_test, a_look_alike_is_its_own_token_service_unless_told_otherwise) {
  auto options = role();
  options["endpoint"] = "https://s3.example:9000";
  ASSERT_TRUE(sign(**make("AWS", options)));
  EXPECT_EQ(net.last().url.reveal(), "https://s3.example:9000/");
  EXPECT_TRUE(others.empty());
  options["stsEndpoint"] = "https://sts.example";
  ASSERT_TRUE(sign(**make("AWS", options)));
  EXPECT_EQ(net.last().url.reveal(), "https://sts.example/");
  ASSERT_EQ(others.size(), 1u) << "the guard must judge it before the service is stored";
  EXPECT_EQ(others[0].field, "stsEndpoint");
}

TEST_F(fetched_credentials_test, a_web_identity_takes_the_place_of_keys) {
  ASSERT_TRUE(io::write_file_durably(folder.path() / "token", web_token));
  std::map<std::string, std::string> options{{"roleArn", role()["roleArn"]},
                                             {"webIdentityTokenFile", (folder.path() / "token").string()}};
  ASSERT_TRUE(sign(**make("AWS", options)));
  EXPECT_EQ(form_of(net.last())["WebIdentityToken"], web_token);
  options["webIdentityTokenFile"] = "/etc/shadow";
  EXPECT_EQ(refused_field("AWS", options), "webIdentityTokenFile");
}

TEST_F(fetched_credentials_test, iam_signs_each_url_of_a_workload_whose_token_is_fetched_once) {
  const auto d = *make("GCP", workload());
  const auto g = sign(*d, std::chrono::hours(2));
  ASSERT_TRUE(g) << g.error().message();
  EXPECT_THAT(g->url.reveal(), HasSubstr("X-Goog-Algorithm=GOOG4-RSA-SHA256"));
  EXPECT_THAT(g->url.reveal(), HasSubstr("fleet%40p.iam.gserviceaccount.com"));
  EXPECT_THAT(g->url.reveal(), testing::EndsWith("X-Goog-Signature=7369676e6564"));
  EXPECT_EQ(g->expires_at, clock.now() + std::chrono::hours(2)) << "the signature outlives the token";
  ASSERT_EQ(net.seen.size(), 3u);
  EXPECT_EQ(http::find(net.last().fields, "Authorization"), "Bearer impersonated");
  ASSERT_TRUE(sign(*d));
  EXPECT_EQ(net.seen.size(), 4u) << "another signature, the same token";
  EXPECT_EQ(sign(*d, std::chrono::hours(13)).error().code(), errc::invalid_argument) << "Google changes that key";
  status = 403;
  EXPECT_EQ(sign(*d).error().code(), errc::permission_denied);
  EXPECT_TRUE(d->health()->healthy) << "the token is good; the role lacks";
  d->retire();
  EXPECT_EQ(sign(*d).error().code(), errc::failed_precondition);
}

TEST_F(fetched_credentials_test, a_workload_may_have_iam_sign_without_becoming_the_account) {
  auto options = workload();
  options["impersonate"] = "false";
  ASSERT_TRUE(sign(**make("GCP", options)));
  EXPECT_EQ(net.seen.size(), 2u);
  EXPECT_EQ(form_of(net.seen.front())["scope"], "https://www.googleapis.com/auth/cloud-platform");
  EXPECT_EQ(http::find(net.last().fields, "Authorization"), "Bearer federated");
}

TEST_F(fetched_credentials_test, googles_options_that_contradict_each_other_are_refused_at_their_field) {
  const auto with = [&](std::map<std::string, std::string> more) {
    auto base = workload();
    for (const auto& [k, v] : more) base[k] = v;
    return refused_field("GCP", base);
  };
  EXPECT_EQ(with({}), "accepted");
  EXPECT_EQ(with({{"credentials", "magic"}}), "credentials");
  EXPECT_EQ(with({{"credentials", "static"}}), "audience");
  EXPECT_EQ(with({{"privateKey", "x"}}), "privateKey");
  EXPECT_EQ(with({{"accessKeyId", "x"}}), "accessKeyId");
  EXPECT_EQ(with({{"serviceAccount", ""}}), "serviceAccount");
  EXPECT_EQ(with({{"serviceAccount", "a@b/c"}}), "serviceAccount");
  EXPECT_EQ(with({{"audience", "fleet"}}), "audience");
  EXPECT_EQ(with({{"subjectTokenFile", "/etc/shadow"}}), "subjectTokenFile");
  EXPECT_EQ(with({{"subjectTokenFile", ""}, {"credentials", "workloadIdentity"}}), "subjectTokenFile");
  EXPECT_EQ(with({{"stsEndpoint", "http://sts.example"}}), "stsEndpoint");
  EXPECT_EQ(with({{"iamEndpoint", "https://iam.example/v1"}}), "iamEndpoint");
  EXPECT_EQ(refused_field("GCP", {{"credentials", "instance"}}), "credentials");  // no metadata service here
  EXPECT_EQ(refused_field("GCP", {{"credentials", "instance"}, {"audience", "//x"}}), "audience");
  EXPECT_EQ(refused_field("GCP", {{"credentials", "instance"}, {"stsEndpoint", "https://sts.example"}}), "stsEndpoint");
  EXPECT_EQ(refused_field("GCP", {{"accessKeyId", "x"}, {"secretAccessKey", "y"}, {"prefixTokens", "true"}}),
            "prefixTokens");
  auto named = workload();
  named["stsEndpoint"] = "https://sts.example";
  named["iamEndpoint"] = "https://iam.example";
  ASSERT_TRUE(make("GCP", named));
  EXPECT_EQ(others.size(), 2u) << "the guard must judge them before the service is stored";
}

TEST_F(fetched_credentials_test, options_that_contradict_each_other_are_refused_at_their_field) {
  const auto with = [](std::map<std::string, std::string> base, std::map<std::string, std::string> more) {
    for (const auto& [k, v] : more) base[k] = v;
    return base;
  };
  EXPECT_EQ(refused_field("AWS", {{"bucket", "fleet"}}), "accessKeyId");
  EXPECT_EQ(refused_field("AWS", with(role(), {{"credentials", "magic"}})), "credentials");
  EXPECT_EQ(refused_field("AWS", with(role(), {{"credentials", "instance"}})), "accessKeyId");
  EXPECT_EQ(refused_field("AWS", {{"credentials", "instance"}}), "credentials");  // no metadata service here
  EXPECT_EQ(refused_field("AWS", {{"credentials", "webIdentity"}}), "webIdentityTokenFile");
  EXPECT_EQ(refused_field("AWS", with(role(), {{"roleArn", "fleet"}})), "roleArn");
  EXPECT_EQ(refused_field("AWS", with(role(), {{"roleArn", ""}, {"externalId", "x1"}})), "roleArn");
  EXPECT_EQ(refused_field("AWS", with(role(), {{"stsEndpoint", "http://sts.example"}})), "stsEndpoint");
  EXPECT_EQ(refused_field("AWS", with(role(), {{"stsEndpoint", "https://sts.example/path"}})), "stsEndpoint");

  EXPECT_EQ(refused_field("AZURE", {{"endpoint", "https://acc.blob.core.windows.net"}}), "connectionString");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"sasToken", "sv=1&sig=x"}})), "connectionString");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"managedIdentity", "true"}})), "clientId");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"clientSecret", ""}})), "clientId");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"tenantId", "a/b"}})), "tenantId");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"authorityHost", "http://login.example"}})), "authorityHost");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"endpoint", "http://acc.blob.core.windows.net"}})),
            "endpoint");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"clientSecret", ""}, {"clientCertificate", "x"}})),
            "clientCertificate");
  EXPECT_EQ(refused_field("AZURE", with(application(), {{"clientSecret", ""}, {"federatedTokenFile", "/etc/shadow"}})),
            "federatedTokenFile");
}

TEST_F(fetched_credentials_test, a_made_sas_is_handed_out_as_it_is_and_nothing_is_pretended) {
  const std::string sas = "sv=2022-11-02&sr=c&sp=rcw&se=2026-11-22T18:01:00Z&spr=https&sig=a%2Bb%3D";
  const auto d = *make("AZURE", {{"endpoint", "https://acc.blob.core.windows.net"}, {"sasToken", "?" + sas}});
  const auto g = sign(*d);
  ASSERT_TRUE(g) << g.error().message();
  EXPECT_EQ(g->url.reveal(), "https://acc.blob.core.windows.net/evp/a.jpg?" + sas);
  EXPECT_EQ(g->expires_at, *parse_rfc3339("2026-11-22T18:01:00Z"));
  EXPECT_FALSE(d->caps().enforces.has(bound::object));
  EXPECT_FALSE(d->caps().enforces.has(bound::expiry));
  EXPECT_THAT(warnings, testing::Contains(HasSubstr("sasToken itself")));
  EXPECT_TRUE(net.seen.empty());
}

TEST_F(fetched_credentials_test, a_made_sas_that_cannot_serve_is_refused) {
  for (const std::string sas :
       {"", "x", "sv=1", "sv=1&sr=b&sp=cw&sig=x", "sv=1&sr=c&sp=r&sig=x", "sv=1&srt=c&sp=cw&sig=x",
        "sv=1&sr=c&sp=cw&se=soon&sig=x", "sv=1&sr=c&sp=cw&sig=%zz", "sv=1&sr=c&sp=cw&sig=x#y"}) {
    if (sas.empty()) continue;
    EXPECT_EQ(refused_field("AZURE", {{"endpoint", "https://acc.blob.core.windows.net"}, {"sasToken", sas}}),
              "sasToken")
        << sas;
  }
  const auto write_only =
      *make("AZURE", {{"endpoint", "https://acc.blob.core.windows.net"}, {"sasToken", "sv=1&sr=c&sp=c&sig=x"}});
  EXPECT_FALSE(write_only->caps().can_stat);
  EXPECT_FALSE(write_only->caps().sign_get);
}

TEST_F(fetched_credentials_test, no_secret_stands_in_an_error) {
  status = 401;
  for (const auto& d : both()) {
    const auto g = sign(*d);
    for (const auto* word : {"base", "cs\"", "https://"}) EXPECT_THAT(g.error().message(), Not(HasSubstr(word)));
  }
}

TEST_F(fetched_credentials_test, an_identitys_lever_revokes_the_delegation_keys_of_the_account_that_it_names) {
  constexpr auto id = "/subscriptions/s-1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acc";
  auto options = application();
  options["accountResourceId"] = id;
  const auto d = *make("AZURE", options);
  ASSERT_TRUE(d->lever());
  EXPECT_THAT(d->lever()->reach, HasSubstr("whoever made it"));
  EXPECT_TRUE(run(d->end_grants()));
  EXPECT_THAT(revoked, testing::ElementsAre(std::string("https://management.azure.com") + id +
                                            "/revokeUserDelegationKeys?api-version=2023-05-01 Bearer token"));
  status = 403;
  EXPECT_EQ(run(d->end_grants()).error().code(), errc::permission_denied);
}

TEST_F(fetched_credentials_test, a_resource_id_that_is_not_the_accounts_is_refused) {
  constexpr std::string_view good =
      "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acc";
  for (const std::string bad :
       {"acc", "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/x",
        "/subscriptions/../resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acc"}) {
    auto options = application();
    options["accountResourceId"] = bad;
    EXPECT_EQ(refused_field("AZURE", options), "accountResourceId") << bad;
  }
  auto longer = application(), elsewhere = application();
  longer["accountResourceId"] = std::string(good) + "/x";
  EXPECT_EQ(refused_field("AZURE", longer), "accountResourceId");
  elsewhere["managementEndpoint"] = "https://manager.example";
  EXPECT_EQ(refused_field("AZURE", elsewhere), "accountResourceId");
  elsewhere["accountResourceId"] = good;
  EXPECT_EQ(refused_field("AZURE", elsewhere), "accepted");
  EXPECT_EQ(others.back().url, "https://manager.example");
}

}  // namespace
}  // namespace evp::storage
