// The pages docs/drivers/enforcement.md and s3_providers.md are made of what the drivers declare, and this test holds
// them to that. To write them anew: EVP_WRITE_DOCS=1 storage_test --gtest_filter=enforcement.*
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/encoding.h"
#include "base/test_rsa_key.h"
#include "storage/driver.h"
#include "storage/drivers/s3_providers.h"

namespace evp::storage {
namespace {

struct no_transport final : http::transport {
  io::task<result<http::response>> send(http::request) override {
    co_return fail(errc::unavailable, "no network here");
  }
};

using options = std::vector<std::pair<std::string, std::string>>;

struct setup {
  std::string_view title, type;
  options given;
};

/// One row each: types that enforce other bounds with other options have several.
std::vector<setup> setups() {
  const options keys{{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}, {"region", "eu-central-1"}, {"bucket", "fleet"}};
  const auto connection = "AccountName=someaccount;AccountKey=" + to_base64("0123456789abcdef") + ";BlobEndpoint=";
  return {
      {"AWS", "AWS", keys},
      {"AWS, provider other",
       "AWS",
       {{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}, {"endpoint", "https://s3.example.com"}}},
      {"AZURE", "AZURE", {{"connectionString", connection + "https://someaccount.blob.core.windows.net"}}},
      {"AZURE, your own SAS",
       "AZURE",
       {{"endpoint", "https://acc.blob.core.windows.net"}, {"sasToken", "sv=1&sr=c&sp=racwd&se=2030-01-01&sig=x"}}},
      {"GCP", "GCP", keys},
      {"GCP, signed by IAM",
       "GCP",
       {{"audience", "//iam.googleapis.com/x"},
        {"serviceAccount", "a@p.iam.gserviceaccount.com"},
        {"subjectTokenFile", "/var/run/secrets/azure/tokens/token"}}},
      {"ALIBABA_OSS", "ALIBABA_OSS", keys},
      {"TENCENT_COS", "TENCENT_COS", keys},
      {"HUAWEI_OBS", "HUAWEI_OBS", keys},
      {"VOLCENGINE_TOS", "VOLCENGINE_TOS", keys},
      {"BAIDU_BOS", "BAIDU_BOS", keys},
      {"QINIU", "QINIU", {{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}, {"domain", "https://files.example.com"}}},
      {"B2", "B2", {{"applicationKeyId", "id"}, {"applicationKey", "key"}, {"bucket", "my-fleet"}}},
      {"OCI",
       "OCI",
       {{"region", "eu-frankfurt-1"},
        {"namespace", "ns"},
        {"tenancy", "ocid1.tenancy.oc1..a"},
        {"user", "ocid1.user.oc1..a"},
        {"fingerprint", "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"},
        {"privateKey", test_rsa_key::make().private_pem}}},
      {"SWIFT",
       "SWIFT",
       {{"authUrl", "https://swift.example/auth/v1.0"},
        {"username", "acc:evp"},
        {"password", "p"},
        {"tempUrlKey", "0123456789abcdef"},
        {"endpoint", "https://swift.example/v1/AUTH_acc"}}},
      {"HTTP, secure_link",
       "HTTP",
       {{"endpoint", "https://files.example"}, {"authentication", "secureLink"}, {"linkSecret", "0123456789abcdef"}}},
      {"HTTP, other", "HTTP", {{"endpoint", "https://files.example"}}},
      {"WEBHOOK",
       "WEBHOOK",
       {{"endpoint", "https://hook.example/evp"}, {"webhookSecret", "0123456789abcdef0123456789abcdef"}}},
      {"LOCAL", "LOCAL", {}},
  };
}

std::string row(const setup& s) {
  no_transport transport;
  const io::manual_clock clock(*parse_rfc3339("2026-01-02T03:04:05Z"));
  const driver_context context{transport, clock, "", "/nonexistent", "https://backend.example", secret("signing key")};
  option_values values;
  for (const auto& [name, value] : s.given) values.set(name, secret(value), false);
  const auto made = (*find_driver_type(s.type))->make(values, context);
  if (!made) {
    ADD_FAILURE() << s.title << ": " << made.error().field() << " " << made.error().message();
    return {};
  }
  const auto caps = made->instance->caps();
  std::string text = "| " + std::string(s.title) + " |";
  for (const auto& b : bound_names()) text += caps.enforces.has(b.what) ? " yes |" : " |";
  text += caps.parts ? " yes |" : " |";
  text += caps.can_stat ? " yes |" : " |";
  return text + " " + format_iso8601_duration(caps.max_lifetime) + " |\n";
}

std::string page() {
  std::string text =
      "# What each storage enforces by itself\n\n"
      "Made of what the drivers declare (`src/storage/enforcement_test.cc`); the conformance suite attacks every *yes* "
      "on a\n"
      "real server, or on a strict double where none can be had. Everything here is for `https` endpoints. A bound "
      "that is\n"
      "asked for and not enforced is said so in the service's `warnings` and `enforcement`. *parts*: takes uploads in "
      "parts;\n"
      "*verify*: the backend can ask for the object; *longest*: the longest life of a grant.\n\n|  |";
  for (const auto& b : bound_names()) text.append(" ").append(b.name).append(" |");
  text += " parts | verify | longest |\n|---|";
  for (std::size_t i = 0; i < bound_names().size() + 3; ++i) text += "---|";
  text += "\n";
  for (const auto& s : setups()) text += row(s);
  return text;
}

std::string providers_page() {
  std::string text =
      "# S3 providers\n\n"
      "Made of the table that the `AWS` type uses (`src/storage/drivers/s3_providers.cc`). `provider` is recognised by "
      "the "
      "endpoint's\n"
      "host where one is shown, else the option names it. What is not known for certain of a provider is not declared: "
      "then the bound\n"
      "is the backend's to check, or nobody's, and the service's `enforcement` says so.\n\n"
      "| provider | host ends with | default endpoint | default region | bucket | plain http | createOnly | sha256 | "
      "forms | source |\n|---|---|---|---|---|---|---|---|---|---|\n";
  const auto code = [](std::string_view s) { return s.empty() ? std::string() : "`" + std::string(s) + "`"; };
  constexpr const char* forms[] = {"", "without a role", "yes"};
  for (const auto& p : s3_providers())
    text += "| " + code(p.name) + " | " + code(p.host_suffix) + " | " + code(p.endpoint) + " | " + code(p.region) +
            " | " + (p.bucket_hosts ? "in the host" : "in the path") + " | " + (p.https_only ? "" : "yes") + " | " +
            (p.create_only ? "yes" : "") + " | " + (p.payload_sha256 ? "yes" : "") + " | " + forms[int(p.forms)] +
            " | " + std::string(p.source) + " |\n";
  return text;
}

void expect_page(const char* name, const std::string& text) {
  const auto file = io::fs::path(EVP_DRIVER_PAGES) / name;
  if (std::getenv("EVP_WRITE_DOCS") != nullptr) { ASSERT_TRUE(io::write_file_durably(file, text)); }
  EXPECT_EQ(io::read_file(file, 1 << 16).value(), text) << "write it anew: see the head of this test";
}

TEST(enforcement, every_type_has_a_row) {
  for (const auto& t : driver_types()) {
    bool found = false;
    for (const auto& s : setups()) found = found || s.type == t.name;
    EXPECT_TRUE(found) << t.name;
  }
}

TEST(enforcement, the_page_says_what_the_drivers_declare) { expect_page("enforcement.md", page()); }

TEST(enforcement, the_page_of_s3_providers_says_what_their_table_has) {
  expect_page("s3_providers.md", providers_page());
}

}  // namespace
}  // namespace evp::storage
