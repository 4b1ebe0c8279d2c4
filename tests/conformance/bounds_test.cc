// The bounds of grants, on a real server or a strict double: each that a driver declares is attacked, and each that it
// does not declare must be refused when it is asked for.
#include "base/encoding.h"
#include "conformance.h"

namespace evp {
namespace {

struct bounds_test : conformance {
  /// A grant for an upload with a bound, or nothing where the storage doesn't enforce that one: signing must then fail.
  std::optional<storage::signed_request> bounded(storage::bound what, storage::sign_spec s) {
    s.fields = GetParam().service_fields;
    std::erase_if(s.fields, [](const auto& f) { return http::same_name(f.name, "Content-Type"); });
    const bool no_form = GetParam().agent && driver->caps().by_form.has(what);  // the public agent sends none
    s.portless_host = no_form;
    auto g = run(driver->sign(std::move(s)));
    if (no_form || !driver->caps().enforces.has(what)) {
      EXPECT_EQ(g.error().code(), errc::unsupported);
      return {};
    }
    EXPECT_TRUE(g) << g.error().message();
    return *g;
  }
  static storage::sign_spec named(std::string object) {
    storage::sign_spec s;
    s.object = std::move(object);
    return s;
  }
};
INSTANTIATE_TEST_SUITE_P(on, bounds_test, testing::ValuesIn(storages()), name_of);

TEST_P(bounds_test, a_grant_for_so_many_bytes_takes_exactly_those) {
  auto s = named("bound/size");
  s.size = 5;
  const auto g = bounded(storage::bound::size, s);
  if (!g) return;
  for (const auto* wrong : {"", "1234", "123456"}) EXPECT_TRUE(is_refusal(execute(*g, wrong))) << wrong;
  EXPECT_FALSE(exists(s.object));
  EXPECT_THAT(g->expect, testing::Contains(execute(*g, "12345")));
}

TEST_P(bounds_test, a_grant_for_at_most_so_many_bytes_takes_no_more) {
  auto s = named("bound/max-size");
  s.max_size = 5;
  const auto g = bounded(storage::bound::max_size, s);
  if (!g) return;
  const int answer = execute(*g, "123456");
  EXPECT_TRUE(is_refusal(answer)) << answer;
  EXPECT_FALSE(exists(s.object));
  EXPECT_THAT(g->expect, testing::Contains(execute(*g, "123")));
}

TEST_P(bounds_test, a_grant_for_a_content_type_takes_no_other) {
  auto s = named("bound/type");
  s.content_type = "image/png";
  const auto g = bounded(storage::bound::content_type, s);
  if (!g) return;
  auto other = *g, none = *g;
  for (auto& f : other.fields)
    if (http::same_name(f.name, "Content-Type")) f.value = "text/html";
  std::erase_if(none.fields, [](const auto& f) { return http::same_name(f.name, "Content-Type"); });
  EXPECT_TRUE(is_refusal(execute(other)));
  EXPECT_TRUE(is_refusal(execute(none)));
  EXPECT_FALSE(exists(s.object));
  EXPECT_THAT(g->expect, testing::Contains(execute(*g)));
}

TEST_P(bounds_test, a_grant_for_certain_bytes_takes_no_others) {
  auto s = named("bound/sha256");
  s.sha256 = to_hex(sha256("these"));
  const auto g = bounded(storage::bound::sha256, s);
  if (!g) return;
  EXPECT_TRUE(is_refusal(execute(*g, "those")));
  for (std::size_t i = 0; i < g->fields.size(); ++i) {  // nor can the demand be left out
    auto without = *g;
    without.fields.erase(without.fields.begin() + std::ptrdiff_t(i));
    EXPECT_TRUE(is_refusal(execute(without, "those"))) << g->fields[i].name;
  }
  EXPECT_FALSE(exists(s.object));
  EXPECT_THAT(g->expect, testing::Contains(execute(*g, "these")));
}

TEST_P(bounds_test, a_grant_that_creates_leaves_what_is_there) {
  auto s = named("bound/create-" + random_id(6));
  s.create_only = true;
  const auto g = bounded(storage::bound::create_only, s);
  if (!g) return;
  EXPECT_THAT(g->expect, testing::Contains(execute(*g, "first")));
  EXPECT_FALSE(testing::Value(g->expect, testing::Contains(execute(*g, "second"))));
  for (std::size_t i = 0; i < g->fields.size(); ++i) {  // nor can the demand be left out
    auto without = *g;
    without.fields.erase(without.fields.begin() + std::ptrdiff_t(i));
    EXPECT_FALSE(testing::Value(g->expect, testing::Contains(execute(without, "third")))) << g->fields[i].name;
  }
  EXPECT_EQ(run(driver->get(s.object, 100)).value(), "first");
}

TEST_P(bounds_test, a_grant_for_a_prefix_takes_all_names_that_begin_so_and_no_other) {
  auto s = named("bound/cam-1/");
  s.is_prefix = true;
  const auto g = bounded(storage::bound::prefix, s);
  if (!g) return;
  for (const auto* name : {"bound/cam-1/a b", "bound/cam-1/deep/\u00e9"}) {
    EXPECT_THAT(g->expect, testing::Contains(execute(with_name(*g, name), "body"))) << name;
    const auto stored = run(driver->get(name, 100));
    ASSERT_TRUE(stored) << name << ": " << stored.error().message();
    EXPECT_EQ(*stored, "body");
  }
  for (const auto* name : {"bound/cam-2/a", "bound/cam-1", "other"}) {
    EXPECT_TRUE(is_refusal(execute(with_name(*g, name)))) << name;
    EXPECT_FALSE(exists(name));
  }
}

TEST_P(bounds_test, a_grant_for_a_prefix_can_bound_the_size_too) {
  if (!enforces(storage::bound::prefix) || !enforces(storage::bound::max_size) || GetParam().agent) return;
  auto s = named("bound/sized/");
  s.is_prefix = true;
  s.max_size = 5;
  const auto g = bounded(storage::bound::prefix, s);
  ASSERT_TRUE(g);
  EXPECT_TRUE(is_refusal(execute(with_name(*g, "bound/sized/a"), "123456")));
  EXPECT_FALSE(exists("bound/sized/a"));
  EXPECT_THAT(g->expect, testing::Contains(execute(with_name(*g, "bound/sized/a"), "123")));
}

TEST_P(bounds_test, gcp_grants_a_prefix_by_a_narrowed_token) {
  if (!GetParam().name.starts_with("GCP_machine") && GetParam().name != "GCP_workload") return;
  const auto narrowing = make({{"prefixTokens", "true"}, {"stsEndpoint", servers::value("GCP_IDENTITY_HTTP")}});
  const auto base = "token-" + random_id(6);
  auto s = named(base + "/cam-1/");
  s.is_prefix = true;
  s.fields = GetParam().service_fields;
  const auto g = run(narrowing->sign(s));
  ASSERT_TRUE(g) << g.error().message();
  EXPECT_TRUE(g->body_prefix.empty());
  EXPECT_GT(g->expires_at, clock.now() + std::chrono::minutes(50));  // the wide token's, whatever was asked for
  for (const auto* name : {"/cam-1/a b", "/cam-1/deep/é'"}) {
    EXPECT_EQ(execute(with_name(*g, base + name), "body"), 200) << name;
    EXPECT_EQ(run(driver->get(base + name, 100)).value(), "body");
    EXPECT_EQ(execute(with_name(*g, base + name), "other"), 403) << "replaced " << name;
  }
  for (const auto* name : {"/cam-2/a", "/cam-1"}) EXPECT_EQ(execute(with_name(*g, base + name)), 403) << name;
  const auto one = with_name(*g, base + "/cam-1/a b");
  EXPECT_EQ(status("GET", one.url.reveal(), one.fields, ""), 403);
  EXPECT_EQ(status("DELETE", one.url.reveal(), one.fields, ""), 403);
  auto other = one.url.reveal();
  other.replace(other.find(container()), container().size(), "evp-gcp-hmac");
  EXPECT_TRUE(is_refusal(status("PUT", other, one.fields)));
  s.max_size = 5;
  EXPECT_EQ(run(narrowing->sign(s)).error().code(), errc::unsupported);
}

TEST_P(bounds_test, azure_grants_a_whole_container_but_not_its_neighbour) {
  if (GetParam().type != "AZURE") return;
  auto s = named("");
  s.is_prefix = true;
  const auto g = run(driver->sign(s));
  ASSERT_TRUE(g) << g.error().message();
  for (const auto* name : {"bound/whole/a", "whole b"}) {
    EXPECT_THAT(g->expect, testing::Contains(execute(with_name(*g, name), "body"))) << name;
    EXPECT_EQ(run(driver->get(name, 100)).value(), "body");
  }
  if (!enforces(storage::bound::object)) return;  // the user's own SAS, for what it is for
  auto other = with_name(*g, "x").url.reveal();
  other.replace(other.find(container()), container().size(), container() + "-2");
  EXPECT_EQ(status("PUT", other, {{"x-ms-blob-type", "BlockBlob"}}), 403);
}

TEST_P(bounds_test, a_grant_for_an_address_serves_no_other) {
  auto s = named("bound/address");
  s.source_address = "127.0.0.0/8";  // where the tests run
  const auto here = bounded(storage::bound::source_address, s);
  if (!here) return;
  s.source_address = "192.0.2.1";
  const auto elsewhere = bounded(storage::bound::source_address, s);
  EXPECT_THAT(here->expect, testing::Contains(execute(*here)));
  if (GetParam().type == "AZURE") {  // Azurite, unlike the real service, does not look at the address
    EXPECT_THAT(elsewhere->url.reveal(), testing::HasSubstr("sip=192.0.2.1"));
    return;
  }
  s.object = "bound/address-elsewhere";
  const auto refused = bounded(storage::bound::source_address, s);
  EXPECT_TRUE(is_refusal(execute(*refused)));
  EXPECT_FALSE(exists(s.object));
}

TEST_P(bounds_test, a_grant_for_https_is_worth_nothing_over_http) {
  if (!enforces(storage::bound::https_only)) return;
  ASSERT_EQ(GetParam().type, "AZURE") << "say here where the storage listens without TLS";
  const auto url = grant(operation::put, "bound/https")->url.reveal();
  const auto path = url.substr(url.find('/', url.find("://") + 3));
  EXPECT_EQ(status("PUT", servers::value("AZURITE_HTTP") + path, {{"x-ms-blob-type", "BlockBlob"}}), 403);
}

}  // namespace
}  // namespace evp
