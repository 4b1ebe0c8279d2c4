#include "storage/drivers/azure_authority.h"

#include <algorithm>
#include <map>

#include "auth/credentials/entra.h"
#include "auth/credentials/metadata.h"
#include "base/encoding.h"

namespace evp::storage {
namespace {

tl::unexpected<error> bad_string(std::string what) {
  return fail(errc::invalid_argument, "connectionString", std::move(what));
}

struct connection {
  std::string account;
  secret key;
  std::string url;  ///< of the blob service, as far as the text tells it; else empty
};

result<connection> parse_connection_string(std::string_view text) {
  std::map<std::string, std::string, std::less<>> parts;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(';', at), text.size());
    const auto part = text.substr(at, end - at);
    const auto equals = part.find('=');
    if (!part.empty() && equals == part.npos) return bad_string("must be name=value pairs with ';' between them");
    if (!part.empty()) parts[std::string(part.substr(0, equals))] = part.substr(equals + 1);
    at = end + 1;
  }
  connection c{parts["AccountName"], secret(parts["AccountKey"]), parts["BlobEndpoint"]};
  const auto ok = [](char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9'); };
  if (c.account.size() < 3 || c.account.size() > 24 || !std::all_of(c.account.begin(), c.account.end(), ok))
    return bad_string("AccountName is missing or not 3 to 24 characters a-z 0-9");
  if (c.key.empty()) return bad_string("AccountKey is missing: copy the whole connection string from Access keys");
  const auto& protocol = parts["DefaultEndpointsProtocol"];
  const auto& suffix = parts["EndpointSuffix"];
  if (c.url.empty() && !(protocol.empty() && suffix.empty()))
    c.url = (protocol.empty() ? "https" : protocol) + "://" + c.account + ".blob." +
            (suffix.empty() ? "core.windows.net" : suffix);
  return c;
}

/// The service's URL with the account as its path where the host cannot carry it (Azurite, IP addresses).
result<endpoint> place_of(std::string_view url, const std::string& account, std::string_view field) {
  auto e = parse_endpoint(url);
  if (!e) return fail(std::move(e.error()).at(std::string(field)));
  const auto path = "/" + account;
  if (e->is_local_or_ip() && e->target.empty()) e->target = path;
  if (!e->target.empty() && e->target != path)
    return fail(errc::invalid_argument, std::string(field), "the URL's path must be empty or the account's name");
  return e;
}

/// Reads a SAS as the portal shows it. https://learn.microsoft.com/rest/api/storageservices/create-service-sas
result<azure_made_sas> parse_sas(const secret& given) {
  const auto bad = [](std::string what) { return fail(errc::invalid_argument, "sasToken", std::move(what)); };
  std::string_view text = given.reveal();
  if (text.starts_with('?')) text.remove_prefix(1);
  if (text.find_first_of(" #?\t\r\n\"<>") != text.npos)
    return bad("must be the query of a SAS, as the portal shows it");
  std::map<std::string, std::string, std::less<>> parts;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('&', at), text.size());
    const auto part = text.substr(at, end - at);
    const auto equals = std::min(part.find('='), part.size());
    auto value = percent_decode(part.substr(std::min(equals + 1, part.size())));
    if (!value) return bad("has a percent sign without two hexadecimal digits");
    parts[std::string(part.substr(0, equals))] = std::move(*value);
    at = end + 1;
  }
  if (parts["sv"].empty() || parts["sig"].empty()) return bad("has no sv or no sig: copy the whole SAS");
  const auto& resource = parts["sr"];
  if (resource.empty() ? parts["srt"].find('o') == std::string::npos : resource != "c" && resource != "d")
    return bad("must be for a container, a directory or the objects of an account, not for one blob");
  azure_made_sas out{.query = secret(std::string(text)), .permissions = parts["sp"]};
  if (!out.may('w') && !out.may('c')) return bad("permits no uploads: its sp has neither c nor w");
  if (const auto& se = parts["se"]; !se.empty()) {
    const auto dies = parse_rfc3339(se.size() == 10 ? se + "T00:00:00Z" : se);
    if (!dies) return bad("has an expiry (se) that is no time");
    out.dies = *dies;
  }
  return out;
}

/// The account's name: said, or the first label of the host.
result<std::string> account_of(const option_values& options) {
  auto name = options.text("accountName");
  if (name.empty()) {
    const auto at = parse_endpoint(options.text("endpoint"));
    if (at && !at->is_local_or_ip()) name = at->host.substr(0, at->host.find('.'));
  }
  const auto ok = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.size() < 3 || name.size() > 24 || !std::all_of(name.begin(), name.end(), ok))
    return fail(errc::invalid_argument, "accountName", "missing, or not 3 to 24 characters a-z 0-9");
  return name;
}

/// The identity's tokens for that resource, by the one way that the options name.
result<std::unique_ptr<auth::token_source>> identity_of(const option_values& options, const driver_context& context,
                                                        std::string resource, made_driver& made) {
  const bool managed = options.text("managedIdentity") == "true";
  int ways = managed;
  for (const std::string_view way : {"clientSecret", "clientCertificate", "federatedTokenFile"})
    ways += options.has(way);
  if (ways != 1)
    return fail(errc::invalid_argument, "clientId",
                "goes with exactly one of clientSecret, clientCertificate, federatedTokenFile and managedIdentity");
  if (managed) {
    if (!context.metadata)
      return fail(errc::invalid_argument, "managedIdentity", "this program reaches no metadata service");
    return auth::make_azure_managed_identity(*context.metadata, context.clock, std::move(resource),
                                             options.text("clientId"));
  }
  auth::entra_application app{
      .tenant_id = options.text("tenantId"), .client_id = options.text("clientId"), .resource = std::move(resource)};
  CHECK(auth::check_application(app));
  if (options.has("authorityHost")) {
    auto at = parse_endpoint(options.text("authorityHost"));
    if (!at) return fail(std::move(at.error()).at("authorityHost"));
    if (at->scheme != "https" || !at->target.empty())
      return fail(errc::invalid_argument, "authorityHost", "must be https and end after host and port");
    app.authority = at->origin();
    app.ca_pem = context.ca_pem;
    made.others.push_back({"authorityHost", app.authority});
  }
  auto& net = context.transport;
  if (options.has("clientSecret"))
    return auth::make_entra_secret(net, context.clock, std::move(app), options.get("clientSecret"));
  if (options.has("clientCertificate")) {
    auto certificate = auth::entra_certificate::parse(options.get("clientCertificate"));
    if (!certificate)
      return fail(errc::invalid_argument, "clientCertificate",
                  "must hold a certificate and its RSA private key, both PEM");
    return auth::make_entra_certificate(net, context.clock, std::move(app), std::move(*certificate));
  }
  const auto file = options.text("federatedTokenFile");
  if (auto ok = context.token_folders.check(file); !ok) return fail(std::move(ok.error()).at("federatedTokenFile"));
  return auth::make_entra_workload(net, context.clock, std::move(app), context.token_folders, file);
}

/// The lever, where the options ask for it.
result<std::unique_ptr<azure_key_revocation>> revocation_of(const option_values& options, const driver_context& context,
                                                            std::string_view account, made_driver& made) {
  auto origin = std::string(azure_key_revocation::public_cloud);
  std::string ca_pem;
  if (options.has("managementEndpoint")) {
    auto at = parse_endpoint(options.text("managementEndpoint"));
    if (!at) return fail(std::move(at.error()).at("managementEndpoint"));
    if (at->scheme != "https" || !at->target.empty())
      return fail(errc::invalid_argument, "managementEndpoint", "must be https and end after host and port");
    origin = at->origin();
    ca_pem = context.ca_pem;
    made.others.push_back({"managementEndpoint", origin});
  }
  if (!options.has("accountResourceId")) {
    if (!options.has("managementEndpoint")) return nullptr;
    return fail(errc::invalid_argument, "accountResourceId", "goes together with managementEndpoint");
  }
  auto id = options.text("accountResourceId");
  CHECK(azure_key_revocation::check_id(id, account));
  TRY(auto tokens, identity_of(options, context, origin + "/", made));
  return std::make_unique<azure_key_revocation>(context.transport, std::move(origin), std::move(id), std::move(ca_pem),
                                                std::move(tokens));
}

constexpr std::string_view identity_options[] = {"tenantId",          "clientId",           "clientSecret",
                                                 "clientCertificate", "federatedTokenFile", "managedIdentity",
                                                 "authorityHost",     "accountResourceId",  "managementEndpoint"};

/// SAS or identity: what signs without the account's key.
result<azure_authority> keyless(const option_values& options, const driver_context& context, made_driver& made) {
  TRY(auto account, account_of(options));
  const auto given = options.text("endpoint");
  TRY(auto place,
      place_of(given.empty() ? "https://" + account + ".blob.core.windows.net" : given, account, "endpoint"));
  TRY(auto signer, auth::azure_sas_signer::make(account, secret()));
  azure_authority by{.signer = std::move(signer), .place = std::move(place)};
  if (options.has("sasToken")) {
    TRY(by.made, parse_sas(options.get("sasToken")));
    made.warnings.push_back(
        "Devices get sasToken itself: each of them can do all that it permits, for as long as it lives. Prefer an "
        "identity or a connectionString, whose grants are for one object.");
  } else {
    if (by.place.scheme != "https" && !by.place.is_local_or_ip())
      return fail(errc::invalid_argument, "endpoint", "must be https: the identity's token travels there");
    TRY(auto source, identity_of(options, context, std::string(auth::azure_storage_resource), made));
    TRY(by.revocation, revocation_of(options, context, account, made));
    by.tokens = std::make_shared<auth::credential_cache<secret>>(context.clock, std::move(source));
    auto keys = auth::make_azure_delegation(context.transport, context.clock, by.place.origin() + by.place.target,
                                            by.tokens, context.ca_pem);
    by.delegation =
        std::make_unique<auth::credential_cache<auth::azure_delegation_key>>(context.clock, std::move(keys));
  }
  return by;
}

}  // namespace

result<azure_authority> azure_authority_of(const option_values& options, const driver_context& context,
                                           made_driver& made) {
  const bool by_key = options.has("connectionString"), by_sas = options.has("sasToken");
  bool by_identity = false;
  for (const auto name : identity_options) by_identity = by_identity || options.has(name);
  if (by_key + by_sas + by_identity != 1)
    return fail(errc::invalid_argument, "connectionString",
                "give one of connectionString, sasToken and an Entra ID identity (tenantId, clientId ... or "
                "managedIdentity)");
  if (!by_key) return keyless(options, context, made);
  if (options.has("accountName"))
    return fail(errc::invalid_argument, "accountName", "stands in connectionString already: leave it out");
  TRY(auto parts, parse_connection_string(options.get("connectionString").reveal()));
  auto signer = auth::azure_sas_signer::make(parts.account, parts.key);
  if (!signer) return bad_string("AccountKey is not base64: copy the whole connection string from Access keys");

  const auto given = options.text("endpoint");
  if (parts.url.empty() && given.empty())
    return fail(errc::invalid_argument, "endpoint",
                "missing, and connectionString has no EndpointSuffix or BlobEndpoint either");
  TRY(auto place, given.empty() ? place_of(parts.url, parts.account, "connectionString")
                                : place_of(given, parts.account, "endpoint"));
  if (!given.empty() && !parts.url.empty()) {
    TRY(const auto other, place_of(parts.url, parts.account, "connectionString"));
    if (other.origin() + other.target != place.origin() + place.target)
      made.warnings.push_back("endpoint and connectionString disagree: " + place.origin() +
                              " (endpoint) is used, not " + other.origin() + ".");
  }
  return azure_authority{.signer = std::move(*signer), .place = std::move(place)};
}

}  // namespace evp::storage
