// Azure shared access signatures: the string-to-sign, and the query sorted by name.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "apps/vectors/vectors.h"
#include "auth/azure_sas.h"

namespace evp::vectors {
namespace {

/// "2024-05-06T00:00:00.000Z" as it stands in signatures: without fractions.
std::string whole_seconds(const std::string& t) {
  const auto parsed = parse_rfc3339(t);
  return parsed ? format_rfc3339_seconds(*parsed) : t;
}

result<std::optional<timestamp>> time_of(const json::object& c, std::string_view name) {
  if (!c.contains(name)) return std::nullopt;
  TRY(const auto t, parse_rfc3339(text(c, name)));
  return t;
}

auth::azure_delegation_key delegation_key(const json::object& k) {
  return {text(k, "signedObjectId"),
          text(k, "signedTenantId"),
          whole_seconds(text(k, "signedStartsOn")),
          whole_seconds(text(k, "signedExpiresOn")),
          text(k, "signedService"),
          text(k, "signedVersion"),
          secret(text(k, "value"))};
}

/// Cases about required fields and parameters say nothing but those: what they are about stands in their string-to-sign
/// (permissions, start, expiry, resource) and the version in their key.
json::object with_inputs(const json::object& file, json::object c) {
  if (c.contains("kind")) return c;
  std::vector<std::string> lines{""};
  for (const char ch : text(c, "string_to_sign")) {
    if (ch == '\n')
      lines.emplace_back();
    else
      lines.back() += ch;
  }
  lines.resize(std::max<std::size_t>(lines.size(), 4));
  std::vector<std::string> resource{""};  // "", "blob", account, container, path
  for (const char ch : lines[3]) {
    if (ch == '/' && resource.size() < 5)
      resource.emplace_back();
    else
      resource.back() += ch;
  }
  resource.resize(5);
  c["kind"] = "user-delegation";
  c["permissions"] = lines[0];
  if (!lines[1].empty()) c["st"] = lines[1];
  if (!lines[2].empty()) c["se"] = lines[2];
  c["account"] = resource[2];
  c["container"] = resource[3];
  c["blob"] = resource[4];
  const auto* key = file.if_contains("user_delegation_key");
  c["version"] = key ? text(key->as_object(), "signedVersion") : "";
  return c;
}

result<auth::azure_signed_query> sign_azure_account(const auth::azure_sas_signer& signer, const json::object& c) {
  auth::azure_account_sas sas;
  sas.version = text(c, "version");
  sas.services = text(c, "ss");
  sas.resource_types = text(c, "srt");
  sas.permissions = text(c, "permissions");
  TRY(sas.starts, time_of(c, "st"));
  TRY(sas.expires, time_of(c, "se"));
  sas.addresses = text(c, "sip");
  sas.protocol = text(c, "spr");
  sas.encryption_scope = text(c, "ses");
  return signer.sign(sas);
}

result<auth::azure_signed_query> sign_azure_service(const auth::azure_sas_signer& signer, const json::object& file,
                                                    const json::object& c) {
  auth::azure_service_sas sas;
  sas.version = text(c, "version");
  sas.container = text(c, "container");
  sas.path = c.contains("directory") ? text(c, "directory") : text(c, "blob");
  if (c.contains("depth")) sas.depth = int(c.at("depth").as_int64());
  sas.permissions = text(c, "permissions");
  TRY(sas.starts, time_of(c, "st"));
  TRY(sas.expires, time_of(c, "se"));
  sas.policy = text(c, "si");
  sas.addresses = text(c, "sip");
  sas.protocol = text(c, "spr");
  sas.encryption_scope = text(c, "ses");
  sas.cache_control = text(c, "rscc");
  sas.content_disposition = text(c, "rscd");
  sas.content_encoding = text(c, "rsce");
  sas.content_language = text(c, "rscl");
  sas.content_type = text(c, "rsct");
  if (text(c, "kind") == "user-delegation") sas.delegation = delegation_key(file.at("user_delegation_key").as_object());
  if (const auto* fields = c.if_contains("request_headers"))
    for (const auto& [name, value] : fields->as_object()) sas.required_fields.emplace_back(name, value.as_string());
  if (const auto* query = c.if_contains("request_query"))
    for (const auto& [name, value] : query->as_object()) sas.required_query.emplace_back(name, value.as_string());
  return signer.sign(sas);
}

}  // namespace

result<outcome> sign_azure(const source& from, const json::object& given) {
  const auto& file = from.file;
  const auto c = with_inputs(file, given);
  const auto kind = text(c, "kind");
  const auto account = text(file.contains("account") ? file : c, "account");
  TRY(const auto signer, auth::azure_sas_signer::make(account, secret(text(file, "account_key"))));
  if (kind != "account" && kind != "service" && kind != "directory-service-sas" && kind != "user-delegation")
    return fail(errc::unsupported, "unknown kind " + kind);
  TRY(const auto made, kind == "account" ? sign_azure_account(signer, c) : sign_azure_service(signer, file, c));
  return outcome{fmt::format("{} {} {}", kind, text(c, "version"), text(c, "blob") + text(c, "directory")),
                 text(c, "string_to_sign") + "\n---\n" + sorted_query(text(c, "query")),
                 made.string_to_sign + "\n---\n" + sorted_query(made.query.reveal())};
}

}  // namespace evp::vectors
