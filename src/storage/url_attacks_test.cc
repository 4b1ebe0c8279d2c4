// Server-side request forgery by way of every URL that a service can name: no byte may go to a place that the guard
// would refuse, whichever driver is asked and whatever an issuer answers.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "auth/credentials/gcp_tokens.h"
#include "auth/credentials/test_transport.h"
#include "base/test_rsa_key.h"
#include "io/test_folder.h"
#include "storage/driver.h"
#include "storage/endpoint_guard.h"

namespace evp::storage {
namespace {

using auth::answered;
using options = std::map<std::string, std::string>;

/// One option that names a URL, with what else the driver wants; every other URL there is leads to public places.
struct url_option {
  std::string type, field, path;
  options others;
};
const std::vector<url_option>& url_options() {
  static const options role{
      {"accessKeyId", "AK"}, {"secretAccessKey", "sk"}, {"roleArn", "arn:aws:iam::123456789012:role/r"}};
  static const options keys{{"accessKeyId", "AK"}, {"secretAccessKey", "sk"}, {"region", "eu-1"}, {"bucket", "fleet"}};
  static const options swift{{"username", "a:b"}, {"password", "p"}, {"tempUrlKey", "0123456789abcdef"}};
  static const auto with = [](options base, const std::string& name, const std::string& value) {
    base[name] = value;
    return base;
  };
  static const options workload{{"audience", "//iam.googleapis.com/x"},
                                {"serviceAccount", "fleet@p.iam.gserviceaccount.com"},
                                {"subjectTokenFile", "token file of the test"}};
  static const std::vector<url_option> all = {
      {"AWS", "endpoint", "", {{"accessKeyId", "AK"}, {"secretAccessKey", "sk"}}},
      {"AWS", "stsEndpoint", "", role},
      {"AZURE", "endpoint", "", {{"accountName", "acc"}, {"sasToken", "sv=1&sr=c&sp=cwr&sig=x"}}},
      {"AZURE",
       "authorityHost",
       "",
       {{"accountName", "acc"}, {"tenantId", "t"}, {"clientId", "c"}, {"clientSecret", "s"}}},
      {"SWIFT", "authUrl", "/auth/v1.0", swift},
      {"SWIFT", "endpoint", "/v1/AUTH_x", with(swift, "authUrl", "https://public.example/auth/v1.0")},
      {"HTTP", "endpoint", "", {}},
      {"GCP", "endpoint", "", keys},
      {"GCP", "stsEndpoint", "", workload},
      {"GCP", "iamEndpoint", "", with(workload, "stsEndpoint", "https://public.example")},
      {"AZURE",
       "managementEndpoint",
       "",
       {{"accountName", "acc"},
        {"tenantId", "t"},
        {"clientId", "c"},
        {"clientSecret", "s"},
        {"authorityHost", "https://public.example"},
        {"accountResourceId", "/subscriptions/s/resourceGroups/r/providers/Microsoft.Storage/storageAccounts/acc"}}},
      {"ALIBABA_OSS", "endpoint", "", keys},
      {"TENCENT_COS", "endpoint", "", with(keys, "bucket", "fleet-1250000000")},
      {"HUAWEI_OBS", "endpoint", "", keys},
      {"VOLCENGINE_TOS", "endpoint", "", keys},
      {"BAIDU_BOS", "endpoint", "", keys},
      {"QINIU", "endpoint", "", keys},
      {"QINIU", "managementEndpoint", "", keys},
      {"QINIU", "domain", "", keys},
      {"B2", "endpoint", "", {{"applicationKeyId", "id"}, {"applicationKey", "k"}, {"bucket", "my-fleet"}}},
      {"OCI",
       "endpoint",
       "",
       {{"namespace", "ns"},
        {"tenancy", "ocid1.tenancy.oc1..a"},
        {"user", "ocid1.user.oc1..a"},
        {"fingerprint", "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"},
        {"privateKey", test_rsa_key::make().private_pem}}},
      {"WEBHOOK", "endpoint", "/hook", {{"webhookSecret", "0123456789abcdef0123456789abcdef"}}},
  };
  return all;
}

/// Names lead where the test says; a list is answered one after the other, the last for ever.
struct scripted_resolver final : resolver {
  std::map<std::string, std::vector<std::string>> names{{"public.example", {"93.184.216.34"}}};
  io::task<result<std::vector<ip_address>>> resolve(std::string host) override {
    const auto known = std::find_if(names.begin(), names.end(), [&](const auto& n) {  // buckets are names below it
      return host == n.first || host.ends_with("." + n.first);
    });
    if (known == names.end()) co_return fail(errc::not_found, "no such host");
    auto& answers = known->second;
    const auto text = answers.front();
    if (answers.size() > 1) answers.erase(answers.begin());
    std::vector<ip_address> out{*ip_address::parse(text)};
    co_return out;
  }
};

struct url_attacks_test : testing::Test {
  io::manual_clock clock{*parse_rfc3339("2026-11-22T18:00:00Z")};
  /// A login that succeeds, and nothing else, so that drivers get as far as they can.
  auth::test_transport net{[](const http::request& r) {
    if (r.url.reveal().ends_with("/v1/token") || r.url.reveal().ends_with("/v2.0/token"))
      return answered(200, R"({"access_token":"t","expires_in":3600})");
    if (!r.url.reveal().ends_with("/auth/v1.0")) return answered(404);
    return answered(200, "", {{"X-Auth-Token", "t"}, {"X-Storage-Url", "https://public.example/v1/AUTH_x"}});
  }};
  io::temporary_folder folder;
  const io::fs::path token_file = folder.path() / "token";
  void SetUp() override {
    ASSERT_TRUE(io::write_file_durably(token_file, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"));
  }
  scripted_resolver names;
  endpoint_guard guard{names, {}};
  guarded_transport guarded{net, guard};

  result<made_driver> make(const url_option& o, const std::string& origin) {
    auto given = o.others;
    given[o.field] = origin + o.path;
    if (given.contains("subjectTokenFile")) given["subjectTokenFile"] = token_file.string();
    option_values values;
    for (const auto& [name, value] : given) values.set(name, secret(value), true);
    driver_context context{guarded, clock};
    context.token_folders = auth::token_folders({folder.path()});
    return (*find_driver_type(o.type))->make(values, context);
  }
  template <class T>
  T run(io::task<T> t) {
    io::asio::io_context ctx;
    return http::run(ctx, std::move(t));
  }
  /// Everything that makes the driver send something.
  void use(driver& d) {
    (void)run(d.sign({.object = "x"}));
    (void)run(d.prepare());
    (void)run(d.put("x", "y"));
    (void)run(d.stat("x"));
    (void)run(d.get("x", 10));
    (void)run(d.remove("x"));
    (void)run(d.end_grants());
  }
  /// Where bytes went, in the addresses that the guard pinned.
  std::set<std::string> reached() const {
    std::set<std::string> out;
    for (const auto& r : net.seen) out.insert(r.pinned_address);
    return out;
  }
};

TEST_F(url_attacks_test, every_option_that_names_a_url_is_attacked_here) {
  std::set<std::pair<std::string, std::string>> attacked, there_are;
  for (const auto& o : url_options()) attacked.emplace(o.type, o.field);
  for (const auto& t : driver_types())
    for (const auto& o : t.options)
      if (o.type == option_spec::kind::url) there_are.emplace(t.name, o.name);
  for (const auto& [type, field] : there_are)
    EXPECT_TRUE(attacked.contains({type, field})) << type << " " << field << ": add it to url_options()";
}

TEST_F(url_attacks_test, a_public_place_is_reached_or_the_attacks_below_would_prove_nothing) {
  for (const auto& o : url_options()) {
    net.seen.clear();
    const auto made = make(o, "https://public.example");
    ASSERT_TRUE(made) << o.type << " " << o.field << ": " << made.error().message();
    use(*made->instance);
    EXPECT_TRUE(reached().contains("93.184.216.34")) << o.type << " " << o.field;
  }
}

TEST_F(url_attacks_test, no_form_of_an_inner_address_is_reached) {
  names.names["metadata.google.internal"] = {"169.254.169.254"};
  names.names["inner.example"] = {"10.0.0.7"};
  names.names["mapped.example"] = {"::ffff:127.0.0.1"};
  for (const std::string scheme : {"https://", "http://"})
    for (const std::string host : {"127.0.0.1",
                                   "169.254.169.254",
                                   "169.254.170.2",
                                   "10.1.2.3",
                                   "[::1]",
                                   "[::ffff:127.0.0.1]",
                                   "[::ffff:a9fe:a9fe]",
                                   "[64:ff9b::7f00:1]",
                                   "[2002:7f00:1::]",
                                   "[fd00:ec2::254]",
                                   "0.0.0.0",
                                   "[::]",
                                   "2130706433",
                                   "0x7f000001",
                                   "017700000001",
                                   "0177.0.0.1",
                                   "127.1",
                                   "127.0.1",
                                   "0x7f.0.0.1",
                                   "2852039166",
                                   "127.0.0.1.",
                                   "localhost",
                                   "LOCALHOST",
                                   "metadata.google.internal",
                                   "inner.example",
                                   "mapped.example",
                                   "public.example@127.0.0.1",
                                   "127.0.0.1#public.example",
                                   "127.0.0.1?public.example",
                                   "127.0.0.1\\@public.example",
                                   "%31%32%37.0.0.1",
                                   "\xe2\x91\xa0.0.0.1"})
      for (const auto& o : url_options()) {
        net.seen.clear();
        const auto made = make(o, scheme + host);
        if (!made) continue;  // refused when the service is made
        use(*made->instance);
        for (const auto& address : reached())
          EXPECT_EQ(address, "93.184.216.34") << o.type << " " << o.field << " " << host;
        for (const auto& r : net.seen)
          EXPECT_THAT(r.url.reveal(), testing::Not(testing::StartsWith(scheme + host))) << o.type << " " << o.field;
      }
}

TEST_F(url_attacks_test, a_name_that_changes_its_address_is_judged_at_every_request_and_pinned) {
  for (const auto& o : url_options()) {
    net.seen.clear();
    names.names["rebinding.example"] = {"93.184.216.34", "127.0.0.1"};
    const auto made = make(o, "https://rebinding.example");
    ASSERT_TRUE(made);
    use(*made->instance);
    EXPECT_THAT(reached(), testing::ElementsAre("93.184.216.34")) << o.type << " " << o.field;
    std::size_t to_it = 0;
    for (const auto& r : net.seen) to_it += r.url.reveal().find("rebinding.example") != std::string::npos;
    EXPECT_EQ(to_it, 1u) << "the second request met the inner address";
  }
}

TEST_F(url_attacks_test, a_redirect_is_followed_nowhere) {
  net.answer = [](const http::request&) { return answered(302, "", {{"Location", "http://169.254.169.254/latest/"}}); };
  for (const auto& o : url_options()) {
    net.seen.clear();
    const auto made = make(o, "https://public.example");
    use(*made->instance);
    for (const auto& r : net.seen) EXPECT_EQ(r.url.reveal().find("169.254"), std::string::npos) << o.type;
  }
}

TEST_F(url_attacks_test, what_a_login_answers_cannot_send_the_backend_inside) {
  net.answer = [](const http::request&) {
    return answered(200, "", {{"X-Auth-Token", "t"}, {"X-Storage-Url", "http://127.0.0.1:8080/v1/AUTH_x"}});
  };
  const auto made = make(url_options()[4], "https://public.example");
  ASSERT_TRUE(made);
  EXPECT_EQ(run(made->instance->stat("x")).error().code(), errc::permission_denied);
  EXPECT_THAT(reached(), testing::ElementsAre("93.184.216.34"));
}

TEST_F(url_attacks_test, what_a_webhook_answers_cannot_send_the_backend_inside) {
  net.answer = [](const http::request&) {
    return answered(
        200, R"({"method":"PUT","url":"http://169.254.169.254/x","expect":[200],"expiresAt":"2026-11-22T18:02:00Z"})");
  };
  const auto made = make(url_options().back(), "https://public.example");
  ASSERT_TRUE(made);
  EXPECT_EQ(run(made->instance->put("x", "y")).error().code(), errc::permission_denied);
  EXPECT_THAT(reached(), testing::ElementsAre("93.184.216.34"));
}

TEST_F(url_attacks_test, what_backblaze_answers_cannot_send_the_backend_inside) {
  const auto b2 = std::find_if(url_options().begin(), url_options().end(), [](auto& o) { return o.type == "B2"; });
  for (const std::string url : {"https://169.254.169.254", "https://127.0.0.1", "http://public.example", "file:///x"}) {
    net.seen.clear();
    net.answer = [&](const http::request&) {
      return answered(200, R"({"accountId":"a","authorizationToken":"t","apiInfo":{"storageApi":{"apiUrl":")" + url +
                               R"(","downloadUrl":")" + url + R"("}}})");
    };
    const auto made = make(*b2, "https://public.example");
    use(*made->instance);
    EXPECT_THAT(reached(), testing::ElementsAre("93.184.216.34"));
    for (const auto& r : net.seen)
      EXPECT_THAT(r.url.reveal(), testing::EndsWith("/b2_authorize_account")) << "only the login itself was reached";
  }
}

TEST_F(url_attacks_test, a_key_file_cannot_send_the_backend_inside) {
  auth::gcp_service_account account{"a@b.example", "k", "http://169.254.169.254/token",
                                    *rsa_private_key::parse(secret(test_rsa_key::make().private_pem))};
  const auto source = auth::make_gcp_service_account(guarded, clock, std::move(account));
  EXPECT_EQ(auth::fetched(*source).error().code(), errc::permission_denied);
  EXPECT_TRUE(net.seen.empty());
}

}  // namespace
}  // namespace evp::storage
