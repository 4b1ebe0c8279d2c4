// The page docs/drivers/enforcement.md is made of what the drivers declare, and this test holds it to that. To write it
// anew: EVP_WRITE_DOCS=1 storage_test --gtest_filter=enforcement.*
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/encoding.h"
#include "storage/driver.h"

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
      {"AZURE", "AZURE", {{"connectionString", connection + "https://someaccount.blob.core.windows.net"}}},
      {"AZURE, your own SAS",
       "AZURE",
       {{"endpoint", "https://acc.blob.core.windows.net"}, {"sasToken", "sv=1&sr=c&sp=racwd&se=2030-01-01&sig=x"}}},
      {"GCP", "GCP", keys},
      {"ALIBABA_OSS", "ALIBABA_OSS", keys},
      {"TENCENT_COS", "TENCENT_COS", keys},
      {"HUAWEI_OBS", "HUAWEI_OBS", keys},
      {"VOLCENGINE_TOS", "VOLCENGINE_TOS", keys},
      {"BAIDU_BOS", "BAIDU_BOS", keys},
      {"QINIU", "QINIU", {{"accessKeyId", "AK"}, {"secretAccessKey", "SK"}, {"domain", "https://files.example.com"}}},
      {"B2", "B2", {{"applicationKeyId", "id"}, {"applicationKey", "key"}, {"bucket", "my-fleet"}}},
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

TEST(enforcement, every_type_has_a_row) {
  for (const auto& t : driver_types()) {
    bool found = false;
    for (const auto& s : setups()) found = found || s.type == t.name;
    EXPECT_TRUE(found) << t.name;
  }
}

TEST(enforcement, the_page_says_what_the_drivers_declare) {
  const io::fs::path file = EVP_ENFORCEMENT_PAGE;
  if (std::getenv("EVP_WRITE_DOCS") != nullptr) { ASSERT_TRUE(io::write_file_durably(file, page())); }
  EXPECT_EQ(io::read_file(file, 1 << 16).value(), page()) << "write it anew: see the head of this test";
}

}  // namespace
}  // namespace evp::storage
