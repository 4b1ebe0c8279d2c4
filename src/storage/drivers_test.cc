// What every driver type accepts and refuses in its options, and what its grants look like, without any network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "http/test_run.h"
#include "storage/driver.h"

namespace evp::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const std::string account_key = to_base64("0123456789abcdef0123456789abcdef");

struct no_transport final : http::transport {
  io::task<result<http::response>> send(http::request) override {
    co_return fail(errc::unavailable, "no network here");
  }
};

struct drivers_test : testing::Test {
  no_transport transport;
  io::manual_clock clock{*parse_rfc3339("2026-01-02T03:04:05.678Z")};
  driver_context context{transport, clock, "", "/nonexistent", "http://127.0.0.1:8080", secret("signing key")};

  using options = std::vector<std::pair<std::string, std::string>>;
  result<made_driver> make(std::string_view type, const options& given) {
    option_values values;
    for (const auto& [name, value] : given) values.set(name, secret(value), false);
    return (*find_driver_type(type))->make(values, context);
  }
  static result<signed_request> sign(driver& d, sign_spec s) {
    io::asio::io_context context;
    return http::run(context, d.sign(std::move(s)));
  }
  /// "field: code" of a refusal.
  std::string refusal(std::string_view type, const options& given) {
    const auto made = make(type, given);
    return made ? "accepted" : made.error().field() + ": " + std::string(to_string(made.error().code()));
  }
  static std::string connection(std::string more = "") {
    return "DefaultEndpointsProtocol=https;AccountName=someaccount;AccountKey=" + account_key +
           ";EndpointSuffix=core.windows.net" + more;
  }
  static sign_spec spec(operation op, std::string object = "cam-1/a b.jpg") {
    sign_spec s;
    s.op = op;
    s.object = std::move(object);
    return s;
  }
};

TEST_F(drivers_test, an_unknown_type_is_told_the_known_ones) {
  const auto found = find_driver_type("GOPHER");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().field(), "type");
  for (const auto& t : driver_types()) EXPECT_THAT(found.error().message(), HasSubstr(std::string(t.name)));
}

TEST_F(drivers_test, a_bound_that_the_storage_does_not_enforce_is_refused_by_name_instead_of_dropped) {
  const auto made = make("AZURE", {{"connectionString", connection()}});
  auto s = spec(operation::put);
  s.max_size = 1000;
  const auto signed_anyway = sign(*made->instance, s);
  ASSERT_FALSE(signed_anyway);
  EXPECT_EQ(signed_anyway.error().code(), errc::unsupported);
  EXPECT_THAT(signed_anyway.error().message(), HasSubstr("maxSize"));
}

TEST_F(drivers_test, secret_options_are_declared_secret) {
  for (const auto& t : driver_types())
    for (const auto& o : t.options) {
      bool looks_secret = o.name == "connectionString" || o.name == "clientCertificate" || o.name == "secretAccessKey";
      for (const std::string_view end : {"Secret", "Token", "Key", "password", "token"})
        looks_secret = looks_secret || (o.name.ends_with(end) && o.type != option_spec::kind::boolean);
      EXPECT_EQ(o.type == option_spec::kind::secret, looks_secret) << o.name;
      EXPECT_FALSE(o.help.empty());
    }
}

TEST_F(drivers_test, lifetimes_outside_the_vendors_limits_are_refused) {
  const std::pair<std::string, options> all[] = {{"AZURE", {{"connectionString", connection()}}},
                                                 {"AWS", {{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}}},
                                                 {"LOCAL", {}}};
  for (const auto& [type, given] : all) {
    auto made = make(type, given);
    ASSERT_TRUE(made) << type;
    auto s = spec(operation::put);
    for (const auto bad :
         {milliseconds(0), milliseconds(999), milliseconds(-1), made->instance->caps().max_lifetime + seconds(1)}) {
      s.lifetime = bad;
      EXPECT_EQ(sign(*made->instance, s).error().field(), "expirationDuration") << type << bad.count();
    }
    s.lifetime = made->instance->caps().max_lifetime;
    EXPECT_LE(sign(*made->instance, s)->expires_at, clock.now() + s.lifetime) << type;
    s.fields = {{"X-A", "b\r\nX-C: d"}};
    EXPECT_EQ(sign(*made->instance, s).error().field(), "headers") << type;
    s.fields = {{"host", "evil"}};
    EXPECT_EQ(sign(*made->instance, s).error().field(), "headers") << type;
  }
}

// ---- AZURE ----

TEST_F(drivers_test, the_announcements_azure_body_is_accepted_and_its_endpoint_wins_with_a_warning) {
  auto made = make("AZURE", {{"endpoint", "http://someblob.core.windows.net"}, {"connectionString", connection()}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->endpoint, "http://someblob.core.windows.net");
  EXPECT_THAT(made->warnings, testing::Contains(HasSubstr("endpoint and connectionString disagree")));
  EXPECT_THAT(made->warnings, Not(testing::Contains(HasSubstr(account_key))));
  auto s = spec(operation::put);
  s.fields = {{"x-ms-blob-type", "BlockBlob"}};
  const auto grant = *sign(*made->instance, s);
  EXPECT_THAT(grant.url.reveal(), StartsWith("http://someblob.core.windows.net/evp/cam-1/"
                                             "a%20b.jpg?sv=2022-11-02&se=2026-01-02T03%3A06%3A05Z&sr=b&sp=cw&sig="));
  EXPECT_THAT(grant.fields, ElementsAre(http::header{"x-ms-blob-type", "BlockBlob"}));
  EXPECT_EQ(grant.expires_at, *parse_rfc3339("2026-01-02T03:06:05Z"));
}

TEST_F(drivers_test, azure_places_agree_in_all_their_spellings) {
  const auto conn = "AccountName=devstoreaccount1;AccountKey=" + account_key;
  const auto endpoint_of = [&](const options& o) {
    auto made = make("AZURE", o);
    if (!made) return made.error().message();
    const auto url = sign(*made->instance, spec(operation::get, "x"))->url.reveal();
    return url.substr(0, url.find('?')) + (made->warnings.empty() ? "" : " warned");
  };
  EXPECT_EQ(endpoint_of({{"connectionString", connection()}}), "https://someaccount.blob.core.windows.net/evp/x");
  EXPECT_EQ(
      endpoint_of({{"connectionString", connection()}, {"endpoint", "https://SomeAccount.blob.core.windows.net:443/"}}),
      "https://someaccount.blob.core.windows.net/evp/x");
  EXPECT_EQ(endpoint_of({{"connectionString", conn}, {"endpoint", "https://127.0.0.1:10443"}}),
            "https://127.0.0.1:10443/devstoreaccount1/evp/x");
  EXPECT_EQ(endpoint_of({{"connectionString", conn + ";BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"},
                         {"endpoint", "http://127.0.0.1:10000"}}),
            "http://127.0.0.1:10000/devstoreaccount1/evp/x");
  EXPECT_EQ(endpoint_of({{"connectionString", conn},
                         {"endpoint", "https://azurite:10000/devstoreaccount1"},
                         {"container", "my-box"}}),
            "https://azurite:10000/devstoreaccount1/my-box/x");
}

TEST_F(drivers_test, azure_names_the_field_that_is_wrong) {
  const std::string name = "AccountName=someaccount;";
  EXPECT_EQ(refusal("AZURE", {}), "connectionString: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", "nonsense"}}), "connectionString: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", name + "AccountKey=not base64"}}),
            "connectionString: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", name}}), "connectionString: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", "AccountName=Some/Account;AccountKey=" + account_key}}),
            "connectionString: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", name + "AccountKey=" + account_key}}), "endpoint: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", connection()}, {"endpoint", "ftp://x"}}),
            "endpoint: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", connection()}, {"endpoint", "https://x.example.com/other"}}),
            "endpoint: invalid_argument");
  EXPECT_EQ(refusal("AZURE", {{"connectionString", connection()}, {"container", "Bad_Name"}}),
            "container: invalid_argument");
  const auto made = make("AZURE", {{"connectionString", name + "AccountKey=pa$$word"}});
  EXPECT_THAT(made.error().message(), Not(HasSubstr("pa$$word")));
}

TEST_F(drivers_test, azure_adds_the_blob_type_to_uploads_alone) {
  auto made = make("AZURE", {{"connectionString", connection()}});
  EXPECT_THAT(sign(*made->instance, spec(operation::put))->fields,
              ElementsAre(http::header{"x-ms-blob-type", "BlockBlob"}));
  EXPECT_THAT(sign(*made->instance, spec(operation::get))->fields, IsEmpty());
  auto s = spec(operation::put);
  s.fields = {{"X-MS-Blob-Type", "AppendBlob"}};
  EXPECT_THAT(sign(*made->instance, s)->fields, ElementsAre(http::header{"X-MS-Blob-Type", "AppendBlob"}));
  EXPECT_THAT(sign(*made->instance, s)->url.reveal(), HasSubstr("&spr=https&"));
}

// ---- AWS ----

drivers_test::options aws(drivers_test::options more = {}) {
  more.insert(more.end(), {{"accessKeyId", "AKIDEXAMPLE"}, {"secretAccessKey", "secret/+="}});
  return more;
}

TEST_F(drivers_test, aws_finds_the_bucket_in_host_or_path) {
  const auto place = [&](const options& o) {
    auto made = make("AWS", aws(o));
    if (!made) return made.error().field();
    const auto url = sign(*made->instance, spec(operation::get, "x"))->url.reveal();
    return url.substr(0, url.find('?'));
  };
  EXPECT_EQ(place({}), "https://evp.s3.us-east-1.amazonaws.com/x");
  EXPECT_EQ(place({{"region", "eu-central-1"}, {"bucket", "box"}}), "https://box.s3.eu-central-1.amazonaws.com/x");
  EXPECT_EQ(place({{"container", "my.box"}}), "https://s3.us-east-1.amazonaws.com/my.box/x");
  EXPECT_EQ(place({{"pathStyle", "true"}}), "https://s3.us-east-1.amazonaws.com/evp/x");
  EXPECT_EQ(place({{"endpoint", "http://127.0.0.1:7480"}}), "http://127.0.0.1:7480/evp/x");
  EXPECT_EQ(place({{"endpoint", "https://s3.example.com"}}), "https://s3.example.com/evp/x");
  EXPECT_EQ(place({{"endpoint", "https://s3.example.com:8443"}, {"pathStyle", "false"}}),
            "https://evp.s3.example.com:8443/x");
  EXPECT_EQ(place({{"endpoint", "http://127.0.0.1:7480"}, {"pathStyle", "false"}}), "pathStyle");
}

TEST_F(drivers_test, aws_knows_a_provider_by_its_endpoint_or_by_name) {
  const auto place = [&](const options& o) {
    auto made = make("AWS", aws(o));
    if (!made) return made.error().field();
    const auto url = sign(*made->instance, spec(operation::get, "x"))->url.reveal();
    const auto scope = url.find("%2F", url.find("%2F") + 3) + 3;
    return url.substr(0, url.find('?')) + " " + url.substr(scope, url.find("%2F", scope) - scope);
  };
  EXPECT_EQ(place({{"provider", "wasabi"}}), "https://s3.us-east-1.wasabisys.com/evp/x us-east-1");
  EXPECT_EQ(place({{"provider", "digitalocean"}, {"region", "fra1"}}),
            "https://fra1.digitaloceanspaces.com/evp/x fra1");
  EXPECT_EQ(place({{"endpoint", "https://acc.r2.cloudflarestorage.com"}}),
            "https://acc.r2.cloudflarestorage.com/evp/x auto");
  EXPECT_EQ(place({{"endpoint", "https://s3.eu-west-1.amazonaws.com:443"}, {"region", "eu-west-1"}}),
            "https://evp.s3.eu-west-1.amazonaws.com/x eu-west-1");
  EXPECT_EQ(place({{"provider", "tigris"}}), "https://evp.t3.storage.dev/x auto");
  EXPECT_EQ(place({{"provider", "backblaze"}}), "region") << "there is no default one";
  EXPECT_EQ(place({{"provider", "minio"}}), "endpoint") << "nobody else's will do";
  EXPECT_EQ(place({{"endpoint", "http://acc.r2.cloudflarestorage.com"}}), "endpoint") << "https only";
  EXPECT_EQ(place({{"provider", "nobody"}}), "provider");

  const auto enforces = [&](const options& o, bound b) {
    return make("AWS", aws(o))->instance->caps().enforces.has(b);
  };
  const options on_premises{{"endpoint", "https://s3.example.com"}};
  EXPECT_FALSE(enforces(on_premises, bound::create_only)) << "nobody knows";
  EXPECT_TRUE(enforces({{"endpoint", "https://s3.example.com"}, {"provider", "ceph"}}, bound::create_only));
  EXPECT_TRUE(enforces({}, bound::sha256));
}

TEST_F(drivers_test, aws_names_the_field_that_is_wrong) {
  EXPECT_EQ(refusal("AWS", {}), "accessKeyId: invalid_argument");
  EXPECT_EQ(refusal("AWS", {{"accessKeyId", "AK"}}), "secretAccessKey: invalid_argument");
  EXPECT_EQ(refusal("AWS", aws({{"endpoint", "s3.example.com"}})), "endpoint: invalid_argument");
  EXPECT_EQ(refusal("AWS", aws({{"endpoint", "https://s3.example.com/bucket"}})), "endpoint: invalid_argument");
  EXPECT_EQ(refusal("AWS", aws({{"region", "EU/Central"}})), "region: invalid_argument");
  EXPECT_EQ(refusal("AWS", aws({{"bucket", "a"}})), "bucket: invalid_argument");
  EXPECT_EQ(refusal("AWS", aws({{"bucket", "box"}, {"container", "other"}})), "bucket: invalid_argument");
  EXPECT_EQ(refusal("AWS", aws({{"sessionToken", "two words"}})), "sessionToken: invalid_argument");
}

TEST_F(drivers_test, aws_signs_the_services_fields_but_not_those_that_change_on_the_way) {
  auto made = make("AWS", aws());
  auto s = spec(operation::put);
  s.fields = {{"x-amz-storage-class", "STANDARD_IA"}, {"Content-Type", "image/jpeg"}, {"User-Agent", "cam"}};
  const auto grant = *sign(*made->instance, s);
  EXPECT_EQ(grant.fields, s.fields);
  EXPECT_THAT(grant.url.reveal(), HasSubstr("X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-storage-class"));
}

TEST_F(drivers_test, aws_keeps_requests_for_the_public_agent_small) {
  auto made = make("AWS", aws({{"endpoint", "http://127.0.0.1:7480"}}));
  auto s = spec(operation::put, std::string(1000, 'x'));
  s.portless_host = true;
  const auto grant = sign(*made->instance, s);
  ASSERT_TRUE(grant);
  EXPECT_LT(grant->url.size(), 2000u);
  s.object = std::string(1000, '+');  // three times as long when encoded
  EXPECT_EQ(sign(*made->instance, s).error().code(), errc::invalid_argument);
  s.portless_host = false;
  EXPECT_TRUE(sign(*made->instance, s));
}

TEST_F(drivers_test, aws_grants_for_a_prefix_are_forms_with_an_open_name) {
  auto made = make("AWS", aws());
  auto s = spec(operation::put, "cam-1/");
  s.is_prefix = true;
  s.max_size = 100;
  s.fields = {{"Content-Type", "image/jpeg"}, {"User-Agent", "cam"}};
  const auto grant = *sign(*made->instance, s);
  EXPECT_EQ(grant.method, "POST");
  EXPECT_EQ(grant.url.reveal(), "https://evp.s3.us-east-1.amazonaws.com/");
  EXPECT_EQ(http::find(grant.fields, "User-Agent"), "cam") << "sent, but no field of the form";
  const auto one = with_name(grant, "cam-1/a b");
  const auto text = one.body_prefix.reveal();
  EXPECT_THAT(text, HasSubstr("name=\"key\"\r\n\r\ncam-1/a b\r\n"));
  EXPECT_THAT(text, HasSubstr("name=\"Content-Type\"\r\n\r\nimage/jpeg\r\n"));
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  const auto policy_at = text.find("name=\"Policy\"\r\n\r\n") + 17;
  const auto policy = *from_base64(text.substr(policy_at, text.find("\r\n", policy_at) - policy_at));
  EXPECT_THAT(policy, HasSubstr(R"(["content-length-range",0,100])"));
  EXPECT_THAT(policy, HasSubstr(R"(["starts-with","$key","cam-1/"])"));

  s.create_only = true;
  EXPECT_EQ(sign(*made->instance, s).error().code(), errc::unsupported);
  s.create_only = false;
  s.portless_host = true;
  EXPECT_EQ(sign(*made->instance, s).error().code(), errc::unsupported) << "the public agent sends no forms";
  s.op = operation::get;
  EXPECT_EQ(sign(*made->instance, s).error().code(), errc::unsupported);
}

TEST_F(drivers_test, azure_grants_a_folder_where_the_account_has_folders) {
  const options with_key{{"connectionString", "AccountName=someaccount;AccountKey=" + to_base64("0123456789abcdef") +
                                                  ";BlobEndpoint=https://someaccount.blob.core.windows.net"}};
  auto s = spec(operation::put, "cam-1/day/");
  s.is_prefix = true;
  EXPECT_EQ(sign(*make("AZURE", with_key)->instance, s).error().code(), errc::unsupported);
  auto folders = with_key;
  folders.push_back({"hierarchicalNamespace", "true"});
  const auto made = make("AZURE", folders);
  const auto one = with_name(*sign(*made->instance, s), "cam-1/day/a b");
  EXPECT_THAT(one.url.reveal(), StartsWith("https://someaccount.blob.core.windows.net/evp/cam-1/day/a%20b?"));
  EXPECT_THAT(one.url.reveal(), HasSubstr("&sr=d&"));
  EXPECT_THAT(one.url.reveal(), HasSubstr("&sdd=2&"));
  s.object = "cam-1/day";
  EXPECT_EQ(sign(*made->instance, s).error().code(), errc::unsupported) << "not a folder";
}

// ---- LOCAL ----

TEST_F(drivers_test, local_grants_lead_to_the_backend_itself) {
  auto made = make("LOCAL", {{"container", "box"}});
  EXPECT_EQ(made->endpoint, "http://127.0.0.1:8080");
  EXPECT_THAT(sign(*made->instance, spec(operation::put))->url.reveal(),
              StartsWith("http://127.0.0.1:8080/objects/box/cam-1/a%20b.jpg?exp="));
  EXPECT_EQ(refusal("LOCAL", {{"container", "../etc"}}), "container: invalid_argument");
  context.local_signing_key = secret();
  EXPECT_EQ(refusal("LOCAL", {}), "type: failed_precondition");
}

// ---- SWIFT ----

using swift_options = std::vector<std::pair<std::string, std::string>>;
swift_options swift(swift_options more = {}) {
  swift_options o{{"authUrl", "https://swift.example/auth/v1.0"},
                  {"username", "acc:evp"},
                  {"password", "p"},
                  {"tempUrlKey", "0123456789abcdef"},
                  {"endpoint", "https://swift.example/v1/AUTH_acc"}};
  for (auto& m : more) {
    std::erase_if(o, [&](const auto& x) { return x.first == m.first; });
    if (!m.second.empty()) o.push_back(m);
  }
  return o;
}

TEST_F(drivers_test, swift_signs_locally_where_the_storage_url_is_known) {
  auto made = make("SWIFT", swift());
  ASSERT_TRUE(made) << made.error().message();
  auto s = spec(operation::put);
  s.source_address = "192.0.2.0/24";
  const auto grant = sign(*made->instance, s);
  ASSERT_TRUE(grant) << grant.error().message();
  EXPECT_THAT(grant->url.reveal(), StartsWith("https://swift.example/v1/AUTH_acc/evp/cam-1/a%20b.jpg?temp_url_sig="));
  EXPECT_THAT(grant->url.reveal(), HasSubstr("temp_url_ip_range=192.0.2.0%2F24"));
  EXPECT_THAT(grant->expect, ElementsAre(201));
  made = make("SWIFT", swift({{"tempUrlDigest", "sha1"}}));
  EXPECT_EQ(sign(*made->instance, s).error().code(), errc::unsupported) << "Ceph RGW would ignore the address";
}

TEST_F(drivers_test, swift_options_that_contradict_each_other_are_refused_at_their_field) {
  EXPECT_EQ(refusal("SWIFT", swift({{"authUrl", "https://swift.example/"}})), "authUrl: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"authUrl", "http://swift.example/auth/v1.0"}})), "authUrl: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"authUrl", "https://k.example/v3"}})), "project: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"authUrl", "https://k.example/v3"}, {"project", "p"}})), "accepted");
  EXPECT_EQ(refusal("SWIFT", swift({{"project", "p"}})), "project: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"username", ""}})), "username: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"password", ""}})), "password: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"applicationCredentialId", "x"}})), "applicationCredentialId: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"tempUrlKey", "short"}})), "tempUrlKey: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"tempUrlDigest", "md5"}})), "tempUrlDigest: invalid_argument");
  EXPECT_EQ(refusal("SWIFT", swift({{"endpoint", "https://swift.example"}})), "endpoint: invalid_argument");
}

// ---- HTTP ----

TEST_F(drivers_test, http_claims_no_bound_but_with_signed_links) {
  const options link{{"endpoint", "https://files.example/fleet"},
                     {"authentication", "secureLink"},
                     {"linkSecret", "0123456789abcdef"}};
  auto made = make("HTTP", link);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(made->instance->caps().enforces.has(bound::object));
  EXPECT_THAT(made->warnings, IsEmpty());
  EXPECT_THAT(sign(*made->instance, spec(operation::put))->url.reveal(),
              StartsWith("https://files.example/fleet/cam-1/a%20b.jpg?md5="));

  made =
      make("HTTP",
           {{"endpoint", "https://files.example"}, {"authentication", "basic"}, {"username", "u"}, {"password", "p"}});
  EXPECT_FALSE(made->instance->caps().enforces.has(bound::object));
  EXPECT_THAT(made->warnings, testing::Contains(HasSubstr("password or token itself")));
  EXPECT_EQ(http::find(sign(*made->instance, spec(operation::get))->fields, "Authorization"), "Basic dTpw");
  made = make("HTTP", {{"endpoint", "https://files.example"}});
  EXPECT_THAT(made->warnings, testing::Contains(HasSubstr("everybody")));
}

TEST_F(drivers_test, http_options_that_contradict_each_other_are_refused_at_their_field) {
  const std::pair<std::string, std::string> at{"endpoint", "https://files.example"};
  EXPECT_EQ(refusal("HTTP", {at, {"authentication", "magic"}}), "authentication: invalid_argument");
  EXPECT_EQ(refusal("HTTP", {at, {"authentication", "basic"}, {"username", "u"}}), "password: invalid_argument");
  EXPECT_EQ(refusal("HTTP", {at, {"authentication", "basic"}, {"username", "u:v"}, {"password", "p"}}),
            "username: invalid_argument");
  EXPECT_EQ(refusal("HTTP", {at, {"authentication", "bearer"}}), "token: invalid_argument");
  EXPECT_EQ(refusal("HTTP", {at, {"authentication", "bearer"}, {"token", "a\r\nX: y"}}), "token: invalid_argument");
  EXPECT_EQ(refusal("HTTP", {at, {"token", "t"}}), "token: invalid_argument");
  EXPECT_EQ(refusal("HTTP", {at, {"authentication", "secureLink"}, {"linkSecret", "short"}}),
            "linkSecret: invalid_argument");
  EXPECT_EQ(refusal("HTTP", {{"endpoint", "http://files.example"}, {"authentication", "bearer"}, {"token", "t"}}),
            "endpoint: invalid_argument");
}

// ---- WEBHOOK ----

/// Answers every call the same.
struct one_answer final : http::transport {
  explicit one_answer(std::string text) : body(std::move(text)) {}
  std::string body;
  http::request last;
  io::task<result<http::response>> send(http::request r) override {
    last = std::move(r);
    http::response out;
    out.status = 200;
    out.body = body;
    co_return out;
  }
};

TEST_F(drivers_test, a_webhooks_answer_is_checked_before_a_device_gets_it) {
  const auto grant = [&](std::string body) {
    one_answer net(std::move(body));
    option_values values;
    values.set("endpoint", secret("https://hook.example/x"), false);
    values.set("webhookSecret", secret("0123456789abcdef0123456789abcdef"), true);
    const driver_context c{net, clock};
    const auto made = (*find_driver_type("WEBHOOK"))->make(values, c);
    auto out = sign(*made->instance, spec(operation::put));
    EXPECT_EQ(http::find(net.last.fields, "X-OpenEVP-Timestamp"), "1767323045");
    const auto text = std::get<std::string>(net.last.body);
    EXPECT_EQ(http::find(net.last.fields, "X-OpenEVP-Signature"),
              "v1=" + to_hex(hmac_sha256("0123456789abcdef0123456789abcdef", "1767323045." + text)));
    return out;
  };
  const std::string good =
      R"({"method":"PUT","url":"https://s.example/x","headers":{"A":"b"},"expect":[201],"expiresAt":"2026-01-02T03:05:00Z"})";
  const auto ok = grant(good);
  ASSERT_TRUE(ok) << ok.error().message();
  EXPECT_EQ(ok->url.reveal(), "https://s.example/x");
  EXPECT_EQ(ok->expires_at, *parse_rfc3339("2026-01-02T03:05:00Z"));
  const auto with = [&](std::string_view what, std::string_view instead) {
    auto text = good;
    text.replace(text.find(what), what.size(), instead);
    return text;
  };
  EXPECT_EQ(grant(with("03:05:00", "23:00:00"))->expires_at, *parse_rfc3339("2026-01-02T03:06:05Z"))
      << "no longer than asked for";
  for (const auto& bad : {with("PUT", "DELETE"), with("https://s.example/x", "file:///etc/passwd"),
                          with("https://s.example/x", "https://u@s.example"), with("\"A\":\"b\"", "\"Host\":\"b\""),
                          with("\"b\"", "\"b\\r\\nX: y\""), with("[201]", "[302]"), with("[201]", "[]"),
                          with("2026-01-02T03:05:00Z", "2026-01-02T03:00:00Z"), with("2026-01-02T03:05:00Z", "soon"),
                          std::string("[]"), std::string()}) {
    const auto r = grant(bad);
    ASSERT_FALSE(r) << bad;
    EXPECT_EQ(r.error().code(), errc::unavailable) << bad;
  }
}

}  // namespace
}  // namespace evp::storage
