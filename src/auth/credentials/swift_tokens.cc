#include "auth/credentials/swift_tokens.h"

#include <fmt/format.h>

#include <charconv>

#include "base/encoding.h"

namespace evp::auth {
namespace {

constexpr std::string_view keystone_name = "Keystone";
constexpr std::string_view v1_name = "Swift's login";
constexpr seconds v1_life_unknown{1800};  // where the server names none; tempauth's own default is a day
constexpr std::size_t token_max = 8 * 1024;

result<secret> token_of(std::string_view text, std::string_view issuer) {
  if (text.empty() || text.size() > token_max || has_control_characters(text))
    return fail(errc::unavailable, fmt::format("{} gave no token: check the URL", issuer));
  return secret(std::string(text));
}

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

class keystone final : public swift_source {
 public:
  keystone(http::transport& t, keystone_login login) : transport_(t), login_(std::move(login)) {}

  io::task<result<expiring<swift_access>>> fetch() override {
    auto r = json_request(login_.url + "/auth/tokens", body(), login_.ca_pem);
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 201 && answer.status != 200)
      co_return fail(
          refusal(answer, keystone_name, "", "check authUrl and the user, project or application credential"));
    expiring<swift_access> out;
    CO_TRY(out.value.token, token_of(http::find(answer.fields, "X-Subject-Token"), keystone_name));
    CO_TRY(const auto fields, issuer_fields::parse(answer.body, keystone_name));
    CO_TRY(const auto expires, fields.text("token/expires_at"));
    CO_TRY(out.expires_at, parse_rfc3339(expires));
    CO_TRY(out.value.storage_url, object_store(fields));
    co_return out;
  }

 private:
  std::string body() const {
    if (!login_.application_credential_id.empty())
      return fmt::format(R"({{"auth":{{"identity":{{"methods":["application_credential"],"application_credential":)"
                         R"({{"id":{},"secret":{}}}}}}}}})",
                         json_text(login_.application_credential_id),
                         json_text(login_.application_credential_secret.reveal()));
    return fmt::format(
        R"({{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":{},"domain":)"
        R"({{"name":{}}},"password":{}}}}}}},"scope":{{"project":{{"name":{},"domain":{{"name":{}}}}}}}}}}})",
        json_text(login_.user), json_text(login_.user_domain), json_text(login_.password.reveal()),
        json_text(login_.project), json_text(login_.project_domain));
  }

  /// The public endpoint of the catalogue's object store.
  result<std::string> object_store(const issuer_fields& answer) const {
    for (const auto& service : answer.objects("token/catalog")) {
      if (service.text_or_empty("type") != "object-store") continue;
      for (const auto& e : service.objects("endpoints")) {
        if (e.text_or_empty("interface") != "public") continue;
        const bool here = e.text_or_empty("region_id") == login_.region || e.text_or_empty("region") == login_.region;
        if (login_.region.empty() || here) return without_slash(e.text_or_empty("url"));
      }
    }
    return fail(errc::not_found, login_.region.empty()
                                     ? "Keystone's catalogue has no public object store for this project"
                                     : "Keystone's catalogue has no public object store in this region: check region");
  }

  http::transport& transport_;
  keystone_login login_;
};

class swift_v1 final : public swift_source {
 public:
  swift_v1(http::transport& t, const io::clock& c, swift_v1_login login)
      : transport_(t), clock_(c), login_(std::move(login)) {}

  io::task<result<expiring<swift_access>>> fetch() override {
    auto r = issuer_request("GET", login_.url, login_.ca_pem);
    r.fields.push_back({"X-Auth-User", login_.user});
    r.fields.push_back({"X-Auth-Key", login_.key.reveal()});
    const auto asked_at = clock_.now();
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200 && answer.status != 204)
      co_return fail(refusal(answer, v1_name, "", "check authUrl, user and key"));
    expiring<swift_access> out;
    CO_TRY(out.value.token, token_of(http::find(answer.fields, "X-Auth-Token"), v1_name));
    out.value.storage_url = without_slash(std::string(http::find(answer.fields, "X-Storage-Url")));
    if (out.value.storage_url.empty()) co_return fail(errc::unavailable, "Swift's login names no storage URL");
    out.expires_at = asked_at + life_of(answer.fields);
    co_return out;
  }

 private:
  static seconds life_of(const http::headers& fields) {
    const auto text = http::find(fields, "X-Auth-Token-Expires");
    long n = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    const bool usable =
        !text.empty() && ec == std::errc() && end == text.data() + text.size() && n > 0 && n < 366 * 86400;
    return usable ? seconds(n) : v1_life_unknown;
  }

  http::transport& transport_;
  const io::clock& clock_;
  swift_v1_login login_;
};

}  // namespace

std::unique_ptr<swift_source> make_keystone(http::transport& transport, keystone_login login) {
  return std::make_unique<keystone>(transport, std::move(login));
}

std::unique_ptr<swift_source> make_swift_v1(http::transport& transport, const io::clock& clock, swift_v1_login login) {
  return std::make_unique<swift_v1>(transport, clock, std::move(login));
}

}  // namespace evp::auth
