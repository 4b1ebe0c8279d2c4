#include "auth/credentials/azure_delegation.h"

#include <fmt/format.h>

#include <pugixml.hpp>

#include "base/encoding.h"

namespace evp::auth {
namespace {

constexpr std::string_view issuer = "Azure Blob Storage";
constexpr seconds clock_difference{300};  // the key begins in the past: a start in Azure's future is refused

class delegation final : public delegation_source {
 public:
  delegation(http::transport& t, const io::clock& c, std::string service,
             std::shared_ptr<credential_cache<secret>> tokens, std::string ca_pem)
      : transport_(t),
        clock_(c),
        service_(std::move(service)),
        tokens_(std::move(tokens)),
        ca_pem_(std::move(ca_pem)) {}

  io::task<result<expiring<azure_delegation_key>>> fetch() override {
    CO_TRY(const auto token, co_await tokens_->get());
    const auto now = clock_.now();
    auto r = issuer_request("POST", service_ + "/?restype=service&comp=userdelegationkey", ca_pem_);
    r.fields = {{"Authorization", "Bearer " + token.value.reveal()},
                {"x-ms-version", std::string(azure_sas_version)},
                {"Content-Type", "application/xml"}};
    r.body =
        fmt::format("<?xml version=\"1.0\" encoding=\"utf-8\"?><KeyInfo><Start>{}</Start><Expiry>{}</Expiry></KeyInfo>",
                    format_rfc3339_seconds(now - clock_difference), format_rfc3339_seconds(now + delegation_life));
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 401) tokens_->reject(token);
    if (answer.status != 200)
      co_return fail(refusal(answer, issuer, http::find(answer.fields, "x-ms-error-code"),
                             "give this identity the role Storage Blob Data Contributor on the account"));
    co_return read(answer.body);
  }

 private:
  static result<expiring<azure_delegation_key>> read(const std::string& body) {
    pugi::xml_document doc;
    const bool readable = bool(doc.load_buffer(body.data(), body.size()));
    const auto k = doc.child("UserDelegationKey");
    expiring<azure_delegation_key> out;
    out.value = {k.child_value("SignedOid"),    k.child_value("SignedTid"),     k.child_value("SignedStart"),
                 k.child_value("SignedExpiry"), k.child_value("SignedService"), k.child_value("SignedVersion"),
                 secret(k.child_value("Value"))};
    const auto expires = parse_rfc3339(out.value.expires);
    if (!readable || out.value.object_id.empty() || out.value.tenant_id.empty() || out.value.service != "b" ||
        !expires || out.value.value.empty() || !from_base64(out.value.value.reveal()))
      return fail(errc::unavailable, "Azure Blob Storage gave no user delegation key: check the endpoint");
    out.expires_at = *expires;
    return out;
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string service_;
  std::shared_ptr<credential_cache<secret>> tokens_;
  std::string ca_pem_;
};

}  // namespace

std::unique_ptr<delegation_source> make_azure_delegation(http::transport& transport, const io::clock& clock,
                                                         std::string service,
                                                         std::shared_ptr<credential_cache<secret>> tokens,
                                                         std::string ca_pem) {
  return std::make_unique<delegation>(transport, clock, std::move(service), std::move(tokens), std::move(ca_pem));
}

}  // namespace evp::auth
