// Tokens of an OpenID Connect issuer: whose are good, whose are refused and why, and how its keys are kept current.
#include "api/oidc.h"

#include <gmock/gmock.h>
#include <rhonabwy.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "api/auth.h"
#include "http/test_run.h"
#include "sql/test_database.h"

namespace evp::api {
namespace {

using testing::HasSubstr;
namespace json = boost::json;

/// The issuer's side: makes keys and signs.
class signer {
 public:
  explicit signer(std::string id, int kind = R_KEY_TYPE_EC, unsigned bits = 256) : id_(std::move(id)) {
    ::r_jwk_init(&private_);
    ::r_jwk_init(&public_);
    if (::r_jwk_generate_key_pair(private_, public_, kind, bits, id_.c_str()) != RHN_OK) std::abort();
  }
  signer(const signer&) = delete;
  ~signer() {
    ::r_jwk_free(private_);
    ::r_jwk_free(public_);
  }
  json::value published() const { return json::parse(taken(::r_jwk_export_to_json_str(public_, 0))); }
  std::string sign(const json::object& claims, jwa_alg alg = R_JWA_ALG_ES256, jwk_t* with = nullptr) const {
    jwt_t* t = nullptr;
    ::r_jwt_init(&t);
    ::r_jwt_set_full_claims_json_str(t, json::serialize(claims).c_str());
    ::r_jwt_set_header_str_value(t, "kid", id_.c_str());
    ::r_jwt_set_sign_alg(t, alg);
    auto out = taken(::r_jwt_serialize_signed(t, with ? with : private_, 0));
    ::r_jwt_free(t);
    return out;
  }

 private:
  static std::string taken(char* text) {
    std::string out(text ? text : "");
    ::r_free(text);
    return out;
  }
  std::string id_;
  jwk_t* private_ = nullptr;
  jwk_t* public_ = nullptr;
};

class issuer_server final : public http::transport {
 public:
  io::task<result<http::response>> send(http::request r) override {
    asked.push_back(r.url.reveal());
    if (away) co_return fail(errc::unavailable, "no connection");
    http::response out;
    out.status = 200;
    out.body = asked.back().ends_with("openid-configuration")
                   ? json::serialize(json::object{{"issuer", name}, {"jwks_uri", keys_at}})
                   : json::serialize(json::object{{"keys", keys}});
    co_return out;
  }
  std::vector<std::string> asked;
  std::string name = "https://id.example/realms/fleet", keys_at = "https://id.example/keys?p=1";
  json::array keys;
  bool away = false;
};

class oidc : public testing::Test {
 protected:
  oidc() { server_.keys.push_back(key_.published()); }
  ~oidc() override {
    http::run(context_, ended());
    context_.restart();
  }
  void start() {
    issuer_ = std::make_unique<oidc_issuer>(context_.get_executor(), server_, clock_,
                                            oidc_options{"https://id.example/realms/fleet", "evp", "roles", ""});
    issuer_->start();
    settle();
  }
  void settle() {
    context_.restart();
    context_.poll();
  }
  io::task<result<void>> ended() {
    if (issuer_) co_await issuer_->stop();
    co_return result<void>();
  }
  std::int64_t unix_now() const { return std::chrono::floor<seconds>(clock_.now()).time_since_epoch().count(); }
  json::object claims() const {
    return {{"iss", "https://id.example/realms/fleet"},
            {"aud", "evp"},
            {"sub", "ann"},
            {"exp", unix_now() + 300},
            {"roles", {"evp:acme:operator", "offline_access"}}};
  }
  json::object claims(std::string_view name, json::value v) const {
    auto out = claims();
    out[name] = std::move(v);
    return out;
  }
  std::string refusal(const std::string& token) {
    const auto r = issuer_->authenticate(token);
    if (r) return "accepted";
    return r.error().code() == errc::unauthenticated ? r.error().message() : "not unauthenticated";
  }

  io::asio::io_context context_;
  io::manual_clock clock_{timestamp(std::chrono::sys_days(std::chrono::year(2026) / 11 / 23))};
  issuer_server server_;
  signer key_{"k1"};
  std::unique_ptr<oidc_issuer> issuer_;
};

TEST_F(oidc, a_token_of_the_issuer_for_us_names_its_bearer_and_what_he_may) {
  start();
  EXPECT_THAT(server_.asked, testing::ElementsAre("https://id.example/realms/fleet/.well-known/openid-configuration",
                                                  "https://id.example/keys?p=1"));
  const auto b = issuer_->authenticate(key_.sign(claims()));
  ASSERT_TRUE(b) << b.error().message();
  EXPECT_EQ(b->subject, "ann");
  ASSERT_EQ(b->roles.size(), 1u);
  EXPECT_EQ(b->roles[0].tenant, "acme");
  EXPECT_EQ(b->roles[0].what, backend::role::operator_role);
  EXPECT_TRUE(issuer_->authenticate(key_.sign(claims("aud", json::array{"other", "evp"}))));
}

TEST_F(oidc, rsa_is_as_good) {
  const signer rsa("k2", R_KEY_TYPE_RSA, 2048);
  server_.keys.push_back(rsa.published());
  start();
  for (const auto alg : {R_JWA_ALG_RS256, R_JWA_ALG_PS256})
    EXPECT_TRUE(issuer_->authenticate(rsa.sign(claims(), alg))) << alg;
}

TEST_F(oidc, what_another_has_made_is_refused) {
  start();
  const signer other("k1");
  EXPECT_THAT(refusal(other.sign(claims())), HasSubstr("signature"));
  EXPECT_THAT(refusal(key_.sign(claims("iss", "https://id.example"))), HasSubstr("another issuer"));
  EXPECT_THAT(refusal(key_.sign(claims("aud", "shop"))), HasSubstr("another audience"));
  auto token = key_.sign(claims());
  const auto at = token.find('.') + 5;
  token[at] = token[at] == 'A' ? 'B' : 'A';
  EXPECT_NE(refusal(token), "accepted");
  EXPECT_THAT(refusal("a.b.c"), HasSubstr("no signed token"));
  EXPECT_THAT(refusal(std::string(20'000, 'a') + ".b.c"), HasSubstr("16 KiB"));
}

// RFC 8725, 3.1: the algorithm is not the token's to choose.
TEST_F(oidc, a_token_without_a_signature_or_with_one_that_everybody_can_make_is_refused) {
  start();
  const auto payload = key_.sign(claims());
  const auto middle = payload.substr(payload.find('.'), payload.rfind('.') - payload.find('.') + 1);
  EXPECT_NE(refusal("eyJhbGciOiJub25lIn0" + middle), "accepted");  // {"alg":"none"}
  EXPECT_NE(refusal("eyJhbGciOiJub25lIn0" + middle + "AAAA"), "accepted");
  jwk_t* shared = nullptr;  // the published key's text as the secret of an HMAC
  ::r_jwk_init(&shared);
  ASSERT_EQ(::r_jwk_import_from_symmetric_key(
                shared, reinterpret_cast<const unsigned char*>("0123456789abcdef0123456789abcdef"), 32),
            RHN_OK);
  const auto forged = key_.sign(claims(), R_JWA_ALG_HS256, shared);
  ::r_jwk_free(shared);
  ASSERT_FALSE(forged.empty());
  EXPECT_THAT(refusal(forged), HasSubstr("only its issuer can sign"));
}

TEST_F(oidc, a_token_is_good_from_its_beginning_to_its_end_and_a_minute_around) {
  start();
  const auto token = key_.sign(claims("nbf", unix_now() + 30));
  EXPECT_EQ(refusal(token), "accepted");
  clock_.advance(seconds(359));
  EXPECT_EQ(refusal(token), "accepted");
  clock_.advance(seconds(1));
  EXPECT_THAT(refusal(token), HasSubstr("has ended"));
  EXPECT_THAT(refusal(key_.sign(claims("nbf", unix_now() + 61))), HasSubstr("not good yet"));
  auto endless = claims();
  endless.erase("exp");
  EXPECT_THAT(refusal(key_.sign(endless)), HasSubstr("exp"));
  for (const json::value& bad : {json::value("soon"), json::value(-1), json::value(1e300), json::value(nullptr)})
    EXPECT_THAT(refusal(key_.sign(claims("exp", bad))), HasSubstr("exp")) << bad;
}

TEST_F(oidc, it_must_say_whose_it_is) {
  start();
  for (const json::value& bad : {json::value(""), json::value(7), json::value(std::string(201, 'x'))})
    EXPECT_THAT(refusal(key_.sign(claims("sub", bad))), HasSubstr("sub")) << bad;
}

TEST_F(oidc, an_unknown_key_has_the_keys_fetched_anew_but_not_for_every_token) {
  start();
  const signer fresh("k9");
  EXPECT_THAT(refusal(fresh.sign(claims())), HasSubstr("no key of the id")) << "they were fetched a moment ago";
  clock_.advance(oidc_issuer::retry_every);
  server_.keys.push_back(fresh.published());
  const auto r = issuer_->authenticate(fresh.sign(claims()));
  EXPECT_EQ(r.error().code(), errc::unavailable);
  EXPECT_TRUE(r.error().retry_after());
  settle();
  EXPECT_EQ(refusal(fresh.sign(claims())), "accepted");
  EXPECT_EQ(server_.asked.size(), 4u);
}

TEST_F(oidc, while_the_issuer_is_away_the_keys_that_are_known_stay_good) {
  server_.away = true;
  start();
  EXPECT_EQ(issuer_->authenticate(key_.sign(claims())).error().code(), errc::unavailable);
  issuer_.reset((http::run(context_, ended()), nullptr));
  server_.away = false;
  start();
  server_.away = true;
  clock_.advance(oidc_issuer::retry_every);
  EXPECT_EQ(issuer_->authenticate(signer("k9").sign(claims())).error().code(), errc::unavailable);
  settle();
  EXPECT_EQ(refusal(key_.sign(claims())), "accepted");
}

TEST_F(oidc, keys_of_another_issuer_or_beside_tls_are_not_taken) {
  server_.name = "https://id.example/realms/other";
  start();
  EXPECT_EQ(server_.asked.size(), 1u);
  issuer_.reset((http::run(context_, ended()), nullptr));
  server_.name = "https://id.example/realms/fleet";
  server_.keys_at = "http://id.example/keys";
  start();
  EXPECT_EQ(server_.asked.size(), 2u);
}

TEST(oidc_roles, are_spelt_with_their_tenant) {
  EXPECT_EQ(oidc_role_from("evp:acme:viewer")->tenant, "acme");
  EXPECT_EQ(oidc_role_from("evp:default:admin")->tenant, "");
  EXPECT_FALSE(oidc_role_from("evp:*:admin")->tenant);
  for (const auto* other : {"admin", "evp:admin", "evp:acme:root", "evp:a/b:admin", "evp::admin", "evp:a:b:admin", ""})
    EXPECT_FALSE(oidc_role_from(other)) << other;
}

TEST(oidc_issuers, are_https_urls) {
  for (const auto* good : {"https://id.example", "https://x.auth0.example/", "http://127.0.0.1:8000/r"})
    EXPECT_TRUE(check_oidc_issuer(good)) << good;
  for (const auto* bad : {"", "https://", "http://id.example", "http://127.0.0.1.evil.example", "https://a?b",
                          "https://u@h", "http://localhost@evil.example", "ftp://x"})
    EXPECT_FALSE(check_oidc_issuer(bad)) << bad;
}

class oidc_caller : public oidc {
 protected:
  oidc_caller() {
    sql::run(context_, access_.create_tenant("acme")).value();
    sql::run(context_, access_.create_tenant("other")).value();
    start();
  }
  result<caller> ask(json::array roles, const std::string& tenant = "") {
    http::headers fields{{"Authorization", "Bearer " + key_.sign(claims("roles", std::move(roles)))}};
    if (!tenant.empty()) fields.push_back({std::string(tenant_header), tenant});
    return identify(admin_, access_, issuer_.get(), fields);
  }
  sql::temporary_folder folder_;
  std::unique_ptr<sql::database> db_ =
      sql::database::open(context_.get_executor(), "sqlite://" + (folder_.path() / "a.db").string()).value();
  backend::access access_{*db_, clock_};
  bearer_auth admin_{secret("the-admin-token-of-tests")};
};

TEST_F(oidc_caller, acts_in_the_only_tenant_of_its_roles_with_the_best_of_them) {
  const auto who = ask({"evp:acme:viewer", "evp:acme:operator"});
  ASSERT_TRUE(who) << who.error().message();
  EXPECT_EQ(who->actor, "oidc:ann");
  EXPECT_EQ(who->tenant, "acme");
  EXPECT_EQ(who->what, backend::role::operator_role);
  EXPECT_FALSE(who->everywhere);
  EXPECT_EQ(ask({"evp:acme:viewer"}, "other").error().code(), errc::permission_denied);
  EXPECT_EQ(ask({"evp:gone:viewer"}).error().code(), errc::not_found);
  EXPECT_EQ(ask({"somebody-elses"}).error().code(), errc::permission_denied);
}

TEST_F(oidc_caller, of_several_tenants_names_one) {
  const json::array both{"evp:acme:viewer", "evp:default:admin"};
  EXPECT_EQ(ask(both).error().field(), tenant_header);
  EXPECT_EQ(ask(both, "acme")->what, backend::role::viewer);
  EXPECT_EQ(ask(both, "default")->what, backend::role::admin);
  EXPECT_EQ(ask(both, "default")->tenant, "");
}

TEST_F(oidc_caller, with_a_role_in_all_tenants_does_not_take_a_better_one_of_one_tenant_everywhere) {
  const json::array roles{"evp:*:viewer", "evp:acme:admin"};
  EXPECT_TRUE(ask(roles)->everywhere);
  EXPECT_EQ(ask(roles)->what, backend::role::viewer);
  EXPECT_EQ(ask(roles, "acme")->what, backend::role::admin);
  EXPECT_FALSE(ask(roles, "acme")->everywhere);
  EXPECT_EQ(ask(roles, "other")->what, backend::role::viewer);
}

}  // namespace
}  // namespace evp::api
