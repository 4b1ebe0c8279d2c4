// Tenants and API keys: who is let in, and that nobody meets what is another's.
#include "backend/access.h"

#include "backend/test_world.h"
#include "base/names.h"

namespace evp::backend {
namespace {

struct access_test : world {
  void add_tenant(const std::string& id = "acme") { ASSERT_TRUE(run(b_->access.create_tenant(id))); }
  created_api_key key(std::optional<std::string> tenant, role r = role::viewer,
                      std::optional<milliseconds> lifetime = std::nullopt) {
    return run(b_->access.create_key(std::move(tenant), "for a test", r, lifetime)).value();
  }
  std::optional<errc> refused(const secret& text) {
    const auto who = b_->access.authenticate(text.reveal());
    if (who) return std::nullopt;
    return who.error().code();
  }
};

TEST_F(access_test, a_key_opens_with_its_role_and_tenant_also_after_a_restart) {
  add_tenant();
  const auto made = key("acme", role::operator_role);
  reopen();
  const auto who = b_->access.authenticate(made.text.reveal());
  ASSERT_TRUE(who) << who.error().message();
  EXPECT_EQ(who->id, made.key.id);
  EXPECT_EQ(who->tenant, "acme");
  EXPECT_EQ(who->what, role::operator_role);
}

TEST_F(access_test, anything_but_the_very_key_is_refused) {
  const auto made = key("");
  auto text = made.text.reveal();
  for (const auto at : {std::size_t(0), std::size_t(9), text.size() - 1}) {
    auto other = text;
    other[at] = other[at] == 'a' ? 'b' : 'a';
    EXPECT_EQ(refused(secret(other)), errc::unauthenticated) << at;
  }
  for (const std::string& other : {std::string(), text + "x", text.substr(1), made.key.id, std::string(100'000, 'k')})
    EXPECT_EQ(refused(secret(other)), errc::unauthenticated) << other.size();
}

TEST_F(access_test, a_removed_key_is_refused_at_once_and_for_good) {
  const auto made = key("");
  ASSERT_TRUE(run(b_->access.remove_key("", made.key.id)));
  EXPECT_EQ(refused(made.text), errc::unauthenticated);
  reopen();
  EXPECT_EQ(refused(made.text), errc::unauthenticated);
}

TEST_F(access_test, a_key_ends_with_its_lifetime) {
  const auto made = key("", role::viewer, milliseconds(60'000));
  clock_.advance(seconds(59));
  EXPECT_FALSE(refused(made.text));
  clock_.advance(seconds(1));
  EXPECT_EQ(refused(made.text), errc::unauthenticated);
}

TEST_F(access_test, the_database_holds_no_key) {
  const auto made = key("");
  close();
  for (const auto& file : io::fs::directory_iterator(folder_.path())) {
    if (!file.is_regular_file()) continue;
    EXPECT_EQ(io::read_file(file.path(), 1 << 24).value().find(made.text.reveal()), std::string::npos) << file.path();
  }
}

TEST_F(access_test, a_tenant_knows_only_its_own_keys) {
  add_tenant();
  const auto ours = key(""), theirs = key("acme"), all = key(std::nullopt);
  EXPECT_EQ(b_->access.list_keys("acme").size(), 1u);
  EXPECT_EQ(b_->access.list_keys("")[0].id, ours.key.id);
  EXPECT_EQ(b_->access.list_keys(std::nullopt)[0].id, all.key.id);
  EXPECT_FALSE(b_->access.get_key("acme", ours.key.id));
  EXPECT_FALSE(run(b_->access.remove_key("acme", ours.key.id)));
  EXPECT_FALSE(refused(ours.text));
}

TEST_F(access_test, a_lifetime_or_a_name_out_of_bounds_is_refused_at_its_field) {
  const auto late = run(b_->access.create_key("", "n", role::viewer, std::chrono::days(4000)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().field(), "expirationDuration");
  const auto nameless = run(b_->access.create_key("", "", role::viewer, std::nullopt));
  ASSERT_FALSE(nameless);
  EXPECT_EQ(nameless.error().field(), "name");
}

TEST_F(access_test, two_tenants_may_give_the_same_names) {
  add_tenant();
  ASSERT_TRUE(run(b_->devices.create("cam-1")));
  ASSERT_TRUE(run(b_->devices.create("cam-1", "acme")));
  ASSERT_TRUE(run(b_->services.create(input())));
  ASSERT_TRUE(run(b_->services.create(input(), "acme")));
  for (const std::string tenant : {"", "acme"}) {
    const auto all = b_->devices.list({}, tenant);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->items.size(), 1u) << tenant;
    EXPECT_EQ(tenant_of(all->items[0].id), tenant);
    EXPECT_EQ(b_->services.list(tenant).size(), 1u);
  }
}

TEST_F(access_test, a_name_with_the_separator_is_nobodys) {
  add_tenant();
  const auto device = run(b_->devices.create("acme:cam-1"));
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().field(), "id");
  const auto service = run(b_->services.create(input("acme:x")));
  ASSERT_FALSE(service);
  EXPECT_EQ(service.error().field(), "name");
  EXPECT_FALSE(b_->devices.list({.cursor = "acme:"}, ""));
}

TEST_F(access_test, pages_of_a_tenant_hold_its_own_devices_and_all_of_them) {
  for (const auto* t : {"b", "d"}) add_tenant(t);
  for (const auto* id : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(run(b_->devices.create(id)));
  for (const auto* id : {"x", "y", "z"})
    for (const auto* t : {"b", "d"}) ASSERT_TRUE(run(b_->devices.create(id, t)));
  const auto all_of = [&](const std::string& tenant) {
    std::string seen;
    page_request r{.limit = 2};
    do {
      const auto p = b_->devices.list(r, tenant).value();
      for (const auto& d : p.items) seen += d.id + " ";
      r.cursor = p.next_cursor;
    } while (!r.cursor.empty());
    return seen;
  };
  EXPECT_EQ(all_of(""), "a b c d e ");
  EXPECT_EQ(all_of("b"), "b:x b:y b:z ");
  EXPECT_EQ(all_of("d"), "d:x d:y d:z ");
}

TEST_F(access_test, a_device_gets_grants_of_its_own_tenants_storages_only) {
  add_tenant();
  ASSERT_TRUE(run(b_->devices.create("cam-1", "acme")));
  ASSERT_TRUE(run(b_->services.create(input())));
  EXPECT_EQ(run(b_->grants.issue("acme:cam-1", ask("1"), wire::dialect::evp2)).failure->code(), errc::not_found);
  auto sly = ask("2");
  sly.key = "acme:default";
  EXPECT_EQ(run(b_->grants.issue("acme:cam-1", sly, wire::dialect::evp2)).failure->code(), errc::not_found);

  ASSERT_TRUE(run(b_->services.create(input(), "acme")));
  const auto got = run(b_->grants.issue("acme:cam-1", ask("3"), wire::dialect::evp2));
  ASSERT_FALSE(got.failure) << got.failure->message();
  EXPECT_EQ(cloud_.signs.back().object, "cam-1/up/a.jpg");
  const auto row = run(b_->ledger.get(got.grant_id)).value();
  EXPECT_EQ(row.service_name, "acme:default");

  upload_filter theirs, ours;
  theirs.tenant = "acme";
  EXPECT_EQ(run(b_->ledger.list(theirs, {}))->items.size(), 1u);
  EXPECT_TRUE(run(b_->ledger.list(ours, {}))->items.empty());
  EXPECT_EQ(run(b_->ledger.events(theirs, 0))->events.size(), 1u);
  EXPECT_TRUE(run(b_->ledger.events(ours, 0))->events.empty());
}

TEST_F(access_test, a_hook_is_told_of_its_own_tenants_uploads_only) {
  add_tenant();
  ASSERT_TRUE(run(b_->devices.create("cam-1", "acme")));
  ASSERT_TRUE(run(b_->services.create(input(), "acme")));
  for (const auto* name : {"h", "acme:h"}) {
    hook_input in{.url = "https://receiver.example/", .key = secret(std::string(32, 'k')), .services = {"default"}};
    ASSERT_TRUE(run(b_->hooks.put(name, std::move(in))));
  }
  const auto got = run(b_->grants.issue("acme:cam-1", ask("1"), wire::dialect::evp2));
  ASSERT_TRUE(run(b_->ledger.settle({got.grant_id, upload_state::failed, "why", {}, "", false})));
  EXPECT_EQ(run(b_->hooks.get("h"))->pending, 0u);
  EXPECT_EQ(run(b_->hooks.get("acme:h"))->pending, 1u);
  EXPECT_EQ(run(b_->hooks.list("acme"))->size(), 1u);
}

/// What the last driver was made with.
struct seen_context {
  std::string tenant;
  bool has_metadata = false;
};
seen_context last;
result<storage::made_driver> make_seen(const storage::option_values& o, const storage::driver_context& c) {
  last = {c.tenant, c.metadata != nullptr};
  return make_fake(o, c);
}
constexpr storage::driver_type seen_types[] = {{"FAKE", fake_options, make_seen}};

TEST_F(access_test, a_tenants_storage_is_not_offered_the_credentials_of_the_machine) {
  types_ = seen_types;
  metadata_ = &network_;
  reopen();
  add_tenant();
  ASSERT_TRUE(run(b_->services.create(input())));
  EXPECT_TRUE(last.has_metadata);
  ASSERT_TRUE(run(b_->services.create(input(), "acme")));
  EXPECT_FALSE(last.has_metadata);
  EXPECT_EQ(last.tenant, "acme");
  ASSERT_TRUE(run(b_->services.replace("acme:default", input())));
  EXPECT_FALSE(last.has_metadata);
  last.has_metadata = true;
  ASSERT_TRUE(run(b_->services.remove("default")));
  reopen();  // only theirs is left to be made anew
  EXPECT_FALSE(last.has_metadata);
  EXPECT_EQ(last.tenant, "acme");
}

TEST_F(access_test, a_tenant_goes_only_when_nothing_belongs_to_it) {
  add_tenant();
  ASSERT_TRUE(run(b_->devices.create("cam-1", "acme")));
  const auto made = key("acme");
  const auto early = run(b_->access.remove_tenant("acme"));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), errc::failed_precondition);
  EXPECT_THAT(early.error().message(), testing::HasSubstr("1 devices, 1 API keys"));
  ASSERT_TRUE(run(b_->devices.remove("acme:cam-1")));
  ASSERT_TRUE(run(b_->access.remove_key("acme", made.key.id)));
  EXPECT_TRUE(run(b_->access.remove_tenant("acme")));
  EXPECT_FALSE(b_->access.has_tenant("acme"));
}

TEST_F(access_test, a_tenants_id_is_a_name_of_its_own) {
  for (const auto* id : {"", "default", "a:b", "../x", "*"}) EXPECT_FALSE(run(b_->access.create_tenant(id))) << id;
  add_tenant();
  EXPECT_EQ(run(b_->access.create_tenant("acme")).error().code(), errc::already_exists);
}

}  // namespace
}  // namespace evp::backend
