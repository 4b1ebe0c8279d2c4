#include "auth/azure_sas.h"

#include <algorithm>

#include "base/encoding.h"

namespace evp::auth {
namespace {

// The orders in which the service expects permission letters; it refuses others.
constexpr std::string_view blob_permissions = "racwdxyltfmeopi";
constexpr std::string_view account_permissions = "rwdxylacuptfi";

// Versions from which the string-to-sign has more lines. Versions are dates, so texts compare as they should.
constexpr std::string_view with_resource = "2018-11-09";         // sr and snapshot
constexpr std::string_view with_authorized_user = "2020-02-10";  // saoid, suoid, scid
constexpr std::string_view with_encryption_scope = "2020-12-06";
constexpr std::string_view with_delegated_user = "2025-07-05";  // skdutid, sduoid
constexpr std::string_view with_required_parts = "2026-04-06";  // srh, srq

/// Letters that are unknown to us go last: the service judges them.
std::string in_order(std::string letters, std::string_view order) {
  std::sort(letters.begin(), letters.end(), [order](char a, char b) { return order.find(a) < order.find(b); });
  return letters;
}

std::string text_of(const std::optional<timestamp>& t) { return t ? format_rfc3339_seconds(*t) : ""; }

/// The query as it grows: empty values are left out.
class query_text {
 public:
  query_text() { text_.reserve(320); }
  void add(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    if (!text_.empty()) text_ += '&';
    text_.append(name).append("=");
    append_percent_encoded(text_, value);
  }
  secret take() { return secret(std::move(text_)); }

 private:
  std::string text_;
};

/// Lines joined by '\n', without one at the end.
class lines {
 public:
  lines() { text_.reserve(320); }
  void add(std::string_view line) {
    if (!first_) text_ += '\n';
    first_ = false;
    text_ += line;
  }
  const std::string& text() const { return text_; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  bool first_ = true;
};

std::string names_of(const std::vector<std::pair<std::string, std::string>>& parts) {
  std::string out;
  for (const auto& [name, value] : parts) {
    if (!out.empty()) out += ',';
    out += name;
  }
  return out;
}

void add_delegation(lines& to_sign, const azure_delegation_key& key, std::string_view version) {
  for (const auto* part : {&key.object_id, &key.tenant_id, &key.starts, &key.expires, &key.service, &key.version})
    to_sign.add(*part);
  if (version >= with_authorized_user)
    for (int i = 0; i < 3; ++i) to_sign.add("");
  if (version >= with_delegated_user)
    for (int i = 0; i < 2; ++i) to_sign.add("");
}

/// Fields stand as "name:value\n" each, parameters as "\nname:value" each: so the service builds its own string.
void add_required_parts(lines& to_sign, const azure_service_sas& sas) {
  std::string fields, query;
  for (const auto& [name, value] : sas.required_fields) fields.append(name).append(":").append(value).append("\n");
  for (const auto& [name, value] : sas.required_query) query.append("\n").append(name).append(":").append(value);
  to_sign.add(fields);
  to_sign.add(query);
}

}  // namespace

result<azure_sas_signer> azure_sas_signer::make(std::string account, const secret& account_key) {
  auto key = from_base64(account_key.reveal());
  if (!key) return fail(errc::invalid_argument, "the account key is not base64");
  const secret raw(std::move(*key));
  return azure_sas_signer(std::move(account), hmac_key(hash::sha256, raw.reveal()));
}

result<azure_signed_query> azure_sas_signer::sign(const azure_service_sas& sas) const {
  std::optional<hmac_key> delegated;
  if (sas.delegation) {
    auto key = from_base64(sas.delegation->value.reveal());
    if (!key) return fail(errc::invalid_argument, "the user delegation key is not base64");
    const secret raw(std::move(*key));
    delegated.emplace(hash::sha256, raw.reveal());
  }
  const std::string_view resource = sas.path.empty() ? "c" : sas.depth ? "d" : "b";
  const auto permissions = in_order(sas.permissions, blob_permissions);
  const auto starts = text_of(sas.starts), expires = text_of(sas.expires);

  lines to_sign;
  to_sign.add(permissions);
  to_sign.add(starts);
  to_sign.add(expires);
  to_sign.add("/blob/" + account_ + "/" + sas.container + (sas.path.empty() ? "" : "/" + sas.path));
  if (sas.delegation)
    add_delegation(to_sign, *sas.delegation, sas.version);
  else
    to_sign.add(sas.policy);
  to_sign.add(sas.addresses);
  to_sign.add(sas.protocol);
  to_sign.add(sas.version);
  if (sas.version >= with_resource) {
    to_sign.add(resource);
    to_sign.add("");  // no snapshot
  }
  if (sas.version >= with_encryption_scope) to_sign.add(sas.encryption_scope);
  if (sas.delegation && sas.version >= with_required_parts) add_required_parts(to_sign, sas);
  for (const auto* part :
       {&sas.cache_control, &sas.content_disposition, &sas.content_encoding, &sas.content_language, &sas.content_type})
    to_sign.add(*part);

  query_text query;
  query.add("sv", sas.version);
  query.add("si", sas.policy);
  query.add("spr", sas.protocol);
  query.add("st", starts);
  query.add("se", expires);
  query.add("sip", sas.addresses);
  query.add("ses", sas.encryption_scope);
  if (sas.delegation) {
    query.add("skoid", sas.delegation->object_id);
    query.add("sktid", sas.delegation->tenant_id);
    query.add("skt", sas.delegation->starts);
    query.add("ske", sas.delegation->expires);
    query.add("sks", sas.delegation->service);
    query.add("skv", sas.delegation->version);
  }
  query.add("sr", resource);
  if (sas.depth) query.add("sdd", std::to_string(*sas.depth));
  query.add("sp", permissions);
  query.add("srh", names_of(sas.required_fields));
  query.add("srq", names_of(sas.required_query));
  query.add("rscc", sas.cache_control);
  query.add("rscd", sas.content_disposition);
  query.add("rsce", sas.content_encoding);
  query.add("rscl", sas.content_language);
  query.add("rsct", sas.content_type);
  query.add("sig", to_base64((delegated ? *delegated : key_).sign(to_sign.text())));
  return azure_signed_query{to_sign.take(), query.take()};
}

std::string azure_sas_signer::authorization(std::string_view string_to_sign) const {
  return "SharedKey " + account_ + ":" + to_base64(key_.sign(string_to_sign));
}

azure_signed_query azure_sas_signer::sign(const azure_account_sas& sas) const {
  const auto permissions = in_order(sas.permissions, account_permissions);
  const auto starts = text_of(sas.starts), expires = text_of(sas.expires);

  lines to_sign;
  to_sign.add(account_);
  to_sign.add(permissions);
  to_sign.add(sas.services);
  to_sign.add(sas.resource_types);
  to_sign.add(starts);
  to_sign.add(expires);
  to_sign.add(sas.addresses);
  to_sign.add(sas.protocol);
  to_sign.add(sas.version);
  if (sas.version >= with_encryption_scope) to_sign.add(sas.encryption_scope);
  to_sign.add("");  // here the last line ends with '\n' too

  query_text query;
  query.add("sv", sas.version);
  query.add("ss", sas.services);
  query.add("srt", sas.resource_types);
  query.add("spr", sas.protocol);
  query.add("st", starts);
  query.add("se", expires);
  query.add("sip", sas.addresses);
  query.add("ses", sas.encryption_scope);
  query.add("sp", permissions);
  query.add("sig", to_base64(key_.sign(to_sign.text())));
  return azure_signed_query{to_sign.take(), query.take()};
}

}  // namespace evp::auth
