#include "auth/credentials/b2_account.h"

#include <algorithm>

#include "base/encoding.h"

namespace evp::auth {
namespace {

constexpr std::string_view issuer = "Backblaze's authorization";
constexpr seconds token_life{24 * 3600};  // "valid for at most 24 hours"

class login_source final : public b2_source {
 public:
  login_source(http::transport& t, const io::clock& c, b2_login login)
      : transport_(t), clock_(c), login_(std::move(login)) {}

  io::task<result<expiring<b2_account>>> fetch() override {
    auto r = issuer_request("GET", login_.origin + "/b2api/v3/b2_authorize_account", login_.ca_pem);
    r.fields.push_back({"Authorization", "Basic " + to_base64(login_.key_id + ":" + login_.key.reveal())});
    const auto asked_at = clock_.now();
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200)
      co_return fail(refusal(answer, issuer, code_of(answer.body), "check applicationKeyId and applicationKey"));
    CO_TRY(const auto said, issuer_fields::parse(answer.body, issuer));
    expiring<b2_account> out;
    CO_TRY(auto token, said.text("authorizationToken"));
    if (has_control_characters(token)) co_return fail(errc::unavailable, "Backblaze gave a token that is none");
    out.value.token = secret(std::move(token));
    CO_TRY(out.value.account_id, said.text("accountId"));
    CO_TRY(out.value.api_url, said.text("apiInfo/storageApi/apiUrl"));
    CO_TRY(out.value.download_url, said.text("apiInfo/storageApi/downloadUrl"));
    out.value.bucket_id = said.text_or_empty("apiInfo/storageApi/bucketId");
    out.value.bucket_name = said.text_or_empty("apiInfo/storageApi/bucketName");
    out.value.name_prefix = said.text_or_empty("apiInfo/storageApi/namePrefix");
    out.expires_at = asked_at + token_life;
    if (const auto key_dies = said.integer("applicationKeyExpirationTimestamp"))
      out.expires_at = std::min(out.expires_at, timestamp(milliseconds(*key_dies)));
    co_return out;
  }

 private:
  static std::string code_of(std::string_view body) {
    const auto said = issuer_fields::parse(body, issuer);
    return said ? said->text_or_empty("code") : std::string();
  }

  http::transport& transport_;
  const io::clock& clock_;
  b2_login login_;
};

}  // namespace

std::unique_ptr<b2_source> make_b2_login(http::transport& transport, const io::clock& clock, b2_login login) {
  return std::make_unique<login_source>(transport, clock, std::move(login));
}

}  // namespace evp::auth
