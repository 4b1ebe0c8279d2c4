// What every storage driver must do, on a real server: the same tests for all of them.
#include "conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/credentials/aws_sts.h"
#include "base/encoding.h"
#include "base/names.h"
#include "names.h"
#include "servers.h"

namespace evp {
namespace {

TEST_P(conformance, the_container_can_be_prepared_again) { EXPECT_TRUE(run(driver->prepare())); }

TEST_P(conformance, the_backend_stores_describes_reads_and_removes_an_object) {
  ASSERT_TRUE(run(driver->put("backend/canary 1", "hello")));
  const auto info = run(driver->stat("backend/canary 1"));
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_EQ(info->size, 5u);
  EXPECT_FALSE(info->etag.empty());
  EXPECT_EQ(run(driver->get("backend/canary 1", 5)).value(), "hello");
  EXPECT_EQ(run(driver->get("backend/canary 1", 4)).error().code(), errc::too_large);
  EXPECT_TRUE(run(driver->remove("backend/canary 1")));
  EXPECT_FALSE(exists("backend/canary 1"));
}

TEST_P(conformance, a_missing_object_is_not_found_and_removing_it_succeeds) {
  EXPECT_EQ(run(driver->stat("missing")).error().code(), errc::not_found);
  EXPECT_EQ(run(driver->get("missing", 100)).error().code(), errc::not_found);
  EXPECT_TRUE(run(driver->remove("missing")));
}

TEST_P(conformance, wrong_credentials_are_named_as_such_and_never_repeated) {
  if (GetParam().wrong_credentials.empty()) {  // LOCAL has none: a URL of another key must then be refused
    EXPECT_EQ(GetParam().type, "LOCAL");
    auto other = make_local_device(secret("another key"), root(), device_clock);
    const auto g = grant(operation::put, "credentials").value();
    EXPECT_EQ(run(other->send("PUT", g.url.reveal(), g.fields, "x"))->status, 403);
    return;
  }
  const auto wrong = make(GetParam().wrong_credentials);
  for (const auto& outcome : {run(wrong->prepare()), run(wrong->put("x", "y")), run(wrong->remove("x"))}) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), GetParam().refused_as) << outcome.error().message();
    EXPECT_THAT(outcome.error().message(), testing::Not(testing::HasSubstr("d3Jvbmcga2V5")));
    EXPECT_THAT(outcome.error().message(), testing::Not(testing::HasSubstr("://")));
  }
}

TEST_P(conformance, a_device_stores_and_reads_with_signed_urls) {
  const auto put = grant(operation::put, "device/photo.jpg").value();
  const auto code = execute(put, "the picture");
  EXPECT_THAT(put.expect, testing::Contains(code));
  EXPECT_EQ(run(driver->get("device/photo.jpg", 100)).value(), "the picture");
  const auto get = grant(operation::get, "device/photo.jpg").value();
  const auto answer = run(actor->send(get.method, get.url.reveal(), get.fields, ""));
  EXPECT_THAT(get.expect, testing::Contains(answer->status));
  EXPECT_THAT(answer->body, testing::HasSubstr("the picture"));
}

TEST_P(conformance, an_empty_object_can_be_stored) {
  const auto put = grant(operation::put, "device/empty").value();
  EXPECT_THAT(put.expect, testing::Contains(execute(put, "")));
  EXPECT_EQ(run(driver->stat("device/empty"))->size, 0u);
}

TEST_P(conformance, a_forged_signature_is_refused) {
  const auto put = grant(operation::put, "forged").value();
  EXPECT_TRUE(is_refusal(execute(forged(put))));
  EXPECT_FALSE(exists("forged"));
  ASSERT_TRUE(run(driver->put("forged", "x")));
  const auto get = grant(operation::get, "forged").value();
  EXPECT_TRUE(is_refusal(execute(forged(get), "")));
}

TEST_P(conformance, a_url_is_worth_nothing_for_another_object) {
  const auto put = grant(operation::put, "own-name").value();
  const auto answer = execute(renamed(put, "own-name", "oth-name"));
  if (!enforces(storage::bound::object)) {  // said so, and true
    EXPECT_THAT(put.expect, testing::Contains(answer));
    return;
  }
  EXPECT_TRUE(is_refusal(answer));
  EXPECT_FALSE(exists("oth-name"));
}

TEST_P(conformance, a_url_is_worth_nothing_for_another_method) {
  if (!enforces(storage::bound::method)) {  // said so, and true
    const auto put = grant(operation::put, "method").value();
    ASSERT_THAT(put.expect, testing::Contains(execute(put)));
    EXPECT_EQ(status("GET", put.url.reveal(), put.fields), 200);
    return;
  }
  ASSERT_TRUE(run(driver->put("method", "old")));
  const auto put = grant(operation::put, "method").value();
  EXPECT_TRUE(is_refusal(status("GET", put.url.reveal(), put.fields)));
  EXPECT_TRUE(is_refusal(status("DELETE", put.url.reveal(), put.fields)));
  const auto get = grant(operation::get, "method").value();
  EXPECT_TRUE(is_refusal(status("PUT", get.url.reveal(), put.fields)));
  EXPECT_TRUE(is_refusal(status("DELETE", get.url.reveal(), get.fields)));
  EXPECT_EQ(run(driver->get("method", 10)).value(), "old");
}

TEST_P(conformance, an_expired_url_is_refused) {
  const auto made = made_an_hour_ago([&] { return grant(operation::put, "expired", seconds(60)); });
  if (GetParam().type == "WEBHOOK") {  // its own clock counts; our call of an hour ago is a replay to it
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code(), errc::unauthenticated);
    return;
  }
  ASSERT_TRUE(made) << made.error().message();
  const auto put = *made;
  if (!GetParam().own_clock) { EXPECT_LT(put.expires_at, clock.now()); }
  if (!enforces(storage::bound::expiry)) {  // said so, and true
    EXPECT_THAT(put.expect, testing::Contains(execute(put)));
    return;
  }
  EXPECT_TRUE(is_refusal(execute(put)));
  return_to_now();
  EXPECT_FALSE(exists("expired"));
}

TEST_P(conformance, what_the_grant_demands_to_be_sent_is_demanded_by_the_storage) {
  const auto put = grant(operation::put, "fields").value();
  if (put.fields.empty()) {  // nothing is demanded, so nothing may be needed
    EXPECT_THAT(put.expect, testing::Contains(status("PUT", put.url.reveal(), {})));
    return;
  }
  for (std::size_t i = 0; i < put.fields.size(); ++i) {
    if (testing::Value(GetParam().free_fields, testing::Contains(put.fields[i].name))) continue;
    auto without = put;
    without.fields.erase(without.fields.begin() + std::ptrdiff_t(i));
    EXPECT_TRUE(is_refusal(execute(without))) << put.fields[i].name;
    auto changed = put;
    changed.fields[i].value = "other";
    EXPECT_TRUE(is_refusal(execute(changed))) << put.fields[i].name;
  }
  EXPECT_FALSE(exists("fields"));
  EXPECT_THAT(put.expect, testing::Contains(execute(put)));
}

/// The longest part of a name between slashes, in bytes.
std::size_t longest_segment(const std::string& name) {
  std::size_t longest = 0;
  for (std::size_t at = 0; at < name.size();) {
    const auto end = std::min(name.find('/', at), name.size());
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  return longest;
}

TEST_P(conformance, nasty_names_reach_exactly_their_object) {
  std::size_t stored = 0;
  for (const auto& name : nasty_names()) {
    ASSERT_TRUE(check_object_name(name)) << name;
    if (GetParam().type == "HTTP" && longest_segment(name) > 255) continue;  // files of that server's file system
    const auto put = grant(operation::put, name);
    if (GetParam().type == "B2" && longest_segment(name) > 250) {  // Backblaze's own rule
      EXPECT_EQ(put.error().code(), errc::invalid_argument) << name;
      continue;
    }
    if (!put) {  // only the public agent's small request head may stand against a name
      EXPECT_TRUE(GetParam().agent && percent_encode(name, true).size() > 1000) << name;
      continue;
    }
    const auto body = "I am " + name;
    EXPECT_THAT(put->expect, testing::Contains(execute(*put, body))) << name;
    const auto back = run(driver->get(name, 4096));
    ASSERT_TRUE(back) << name << ": " << back.error().message();
    EXPECT_EQ(*back, body);
    ++stored;
  }
  EXPECT_GE(stored, 40u);
}

TEST_P(conformance, requests_for_the_public_agent_stay_small) {
  storage::sign_spec s;
  s.object = std::string(900, 'n');
  s.portless_host = true;
  s.fields = GetParam().service_fields;
  const auto g = run(driver->sign(s));
  const bool has_session = GetParam().options().contains("roleArn");
  if (!g && has_session) {  // Ceph's session tokens are long: then the refusal says what to do
    EXPECT_EQ(g.error().code(), errc::invalid_argument);
    EXPECT_THAT(g.error().message(), testing::HasSubstr("shorter object name"));
    return;
  }
  if (!g && g.error().code() == errc::unsupported) {  // a storage that takes only what that agent cannot send
    EXPECT_FALSE(GetParam().agent);
    return;
  }
  ASSERT_TRUE(g) << g.error().message();
  auto size = g->url.size();
  for (const auto& f : g->fields) size += f.name.size() + f.value.size() + 4;
  EXPECT_LT(size, 2000u);
}

INSTANTIATE_TEST_SUITE_P(on, conformance, testing::ValuesIn(storages()), name_of);

// ---- what concerns one vendor ----

struct azure_https_test : conformance {};
INSTANTIATE_TEST_SUITE_P(on, azure_https_test, testing::Values(storage_of("AZURE_https")), name_of);

TEST_P(azure_https_test, a_server_that_the_services_certificate_does_not_cover_is_refused) {
  auto stranger = make_runtime_device(*client, "");  // the system's authorities don't know our private one
  const auto put = grant(operation::put, "tls").value();
  const auto answer = run(stranger->send("PUT", put.url.reveal(), put.fields, "x"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), errc::permission_denied);
}

TEST_P(azure_https_test, a_grant_for_https_is_worth_nothing_over_http) {
  const auto plain = make({{"endpoint", servers::value("AZURITE_HTTP")}});  // the same account without TLS
  ASSERT_TRUE(run(plain->prepare()));
  const auto put = grant(operation::put, "downgrade").value();
  auto url = put.url.reveal();
  url.replace(0, servers::value("AZURITE_HTTPS").size(), servers::value("AZURITE_HTTP"));
  EXPECT_EQ(status("PUT", url, put.fields), 403);
  EXPECT_EQ(run(plain->stat("downgrade")).error().code(), errc::not_found);
}

struct s3_host_test : conformance {};
INSTANTIATE_TEST_SUITE_P(on, s3_host_test, testing::Values(storage_of("AWS_runtime")), name_of);

TEST_P(s3_host_test, each_form_of_host_works_for_its_own_device) {
  auto agent = make_agent_device();
  storage::sign_spec s;
  s.object = "host";
  const auto with_port = *run(driver->sign(s));
  s.portless_host = true;
  const auto portless = *run(driver->sign(s));
  EXPECT_EQ(run(actor->send("PUT", with_port.url.reveal(), {}, "x"))->status, 200);
  EXPECT_EQ(run(agent->send("PUT", portless.url.reveal(), {}, "x"))->status, 200);
  // The other way round RGW is kind: it tries its own port too when Host has none.
  EXPECT_EQ(run(actor->send("PUT", portless.url.reveal(), {}, "x"))->status, 403);
}

TEST_P(s3_host_test, a_missing_bucket_is_made) {
  const auto fresh = make({{"container", "made-" + random_id(10)}});
  EXPECT_EQ(run(fresh->put("x", "y")).error().code(), errc::not_found);
  ASSERT_TRUE(run(fresh->prepare()));
  EXPECT_TRUE(run(fresh->put("x", "y")));
}

struct b2_tokens_test : conformance {};
INSTANTIATE_TEST_SUITE_P(on, b2_tokens_test, testing::Values(storage_of("B2")), name_of);

TEST_P(b2_tokens_test, a_download_is_bound_to_its_name_and_an_upload_token_is_worth_nothing_elsewhere) {
  ASSERT_TRUE(run(driver->put("down/own-name", "own")));
  ASSERT_TRUE(run(driver->put("down/oth-name", "other")));
  const auto get = grant(operation::get, "down/own-name").value();
  EXPECT_EQ(execute(get), 200);
  EXPECT_TRUE(is_refusal(execute(renamed(get, "own-name", "oth-name"))));
  const auto first = grant(operation::put, "up/1").value(), second = grant(operation::put, "up/2").value();
  EXPECT_TRUE(is_refusal(status("POST", second.url.reveal(), first.fields)));
  EXPECT_TRUE(is_refusal(status("GET", get.url.reveal(), first.fields)));
  EXPECT_FALSE(exists("up/1"));
  const auto old = made_an_hour_ago([&] { return grant(operation::get, "down/own-name", seconds(60)).value(); });
  EXPECT_TRUE(is_refusal(execute(old)));
}

TEST_P(b2_tokens_test, removing_an_object_removes_its_earlier_versions_too) {
  ASSERT_TRUE(run(driver->put("versions", "first")));
  ASSERT_TRUE(run(driver->put("versions", "second")));
  EXPECT_EQ(run(driver->get("versions", 10)).value(), "second");
  ASSERT_TRUE(run(driver->remove("versions")));
  EXPECT_FALSE(exists("versions"));
}

struct oci_parts_test : conformance {};
INSTANTIATE_TEST_SUITE_P(on, oci_parts_test, testing::Values(storage_of("OCI")), name_of);

TEST_P(oci_parts_test, the_url_of_a_part_dies_with_its_upload_and_its_token_does_not_show_in_the_id) {
  storage::sign_spec s;
  s.object = "oci/parts";
  for (const bool commits : {true, false}) {
    const auto id = run(driver->begin_parts(s)).value();
    const auto part = run(driver->sign_part(s, id, {1, 0, 4})).value();
    ASSERT_EQ(execute(part, "part"), 200);
    const auto& url = part.url.reveal();
    const auto token = url.substr(url.find("/p/") + 3, 20);
    EXPECT_EQ(id.find(token), std::string::npos);
    EXPECT_EQ(id.find(to_hex(token)), std::string::npos);
    if (commits)
      ASSERT_TRUE(run(driver->commit_parts(s, id, run(driver->list_parts(s.object, id)).value())));
    else
      ASSERT_TRUE(run(driver->abort_parts(s.object, id)));
    EXPECT_TRUE(is_refusal(execute(part, "late")));
    auto other = s;
    other.object = "oci/other";
    EXPECT_EQ(run(driver->sign_part(other, id, {1, 0, 4})).error().code(), errc::not_found) << "an id is of its object";
  }
}

// ---- temporary credentials on Ceph's token service ----

struct sts_test : conformance {
  /// PUT of the key in this setup's bucket, signed with these credentials.
  int put_with(const auth::aws_credentials& keys, const std::string& key) {
    const auto at = servers::value("RGW_STS_HTTP");
    auth::sigv4_request r;
    r.method = "PUT";
    r.scheme = "http";
    r.authority = at.substr(at.find("://") + 3);
    r.path = "/" + container() + "/" + key;
    const auth::sigv4_signer signer(keys, "us-east-1");
    return status("PUT", signer.presign(r, clock.now(), seconds(60)).reveal(), {});
  }
  result<auth::expiring<auth::aws_credentials>> assume(const std::string& policy, const std::string& arn) {
    auth::aws_credentials keys{servers::value("RGW_ACCESS_KEY"), secret(servers::value("RGW_SECRET_KEY")), {}};
    auth::aws_role role{.arn = arn, .session = "openevp", .policy = policy, .duration = seconds(900)};
    const auth::sts_endpoint at{servers::value("RGW_STS_HTTP"), "us-east-1", ""};
    const auto from = auth::make_assume_role(*client, clock, at, role, auth::make_static_aws(std::move(keys)));
    return run(from->fetch());
  }
};
INSTANTIATE_TEST_SUITE_P(on, sts_test, testing::Values(storage_of("AWS_role")), name_of);

TEST_P(sts_test, a_session_policy_narrows_the_credentials_to_its_prefix) {
  ASSERT_EQ(GetParam().name, "AWS_role");
  const auto arn = servers::value("RGW_ROLE_ARN");
  const auto narrow = assume(auth::s3_session_policy(container(), "cam-1/"), arn);
  ASSERT_TRUE(narrow) << narrow.error().message();
  EXPECT_EQ(put_with(narrow->value, "cam-1/photo.jpg"), 200);
  EXPECT_EQ(put_with(narrow->value, "cam-2/photo.jpg"), 403);
  auto stripped = narrow->value;
  stripped.session_token = secret();
  EXPECT_EQ(put_with(stripped, "cam-1/photo.jpg"), 403);
  EXPECT_LE(narrow->expires_at, clock.now() + seconds(960));
  EXPECT_EQ(assume("", arn + "-other").error().code(), errc::not_found);
}

}  // namespace
}  // namespace evp

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new servers);
  return RUN_ALL_TESTS();
}
