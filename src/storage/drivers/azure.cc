// AZURE: Azure Blob Storage (and Azurite). Grants are SAS URLs for one blob, signed with the account's key or with a
// user delegation key of an Entra ID identity; or a SAS that the user made is handed out as it is.
//
// Limits: https://learn.microsoft.com/azure/storage/blobs/scalability-targets (Put Blob up to 5,000 MiB),
// https://learn.microsoft.com/rest/api/storageservices/put-blob, .../create-container, .../delete-blob
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <pugixml.hpp>

#include "auth/azure_sas.h"
#include "auth/credentials/azure_delegation.h"
#include "auth/credentials/entra.h"
#include "auth/credentials/metadata.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/address.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/requests.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "blob service URL; wins over what connectionString says"},
    {"connectionString", option_spec::kind::secret, false, "as the portal shows it under Access keys"},
    {"sasToken", option_spec::kind::secret, false, "a SAS that you made for container or account, handed out as it is"},
    {"accountName", option_spec::kind::text, false,
     "storage account, where neither connectionString nor endpoint names it"},
    {"tenantId", option_spec::kind::text, false, "Entra ID tenant of the application"},
    {"clientId", option_spec::kind::text, false, "application, or user-assigned managed identity"},
    {"clientSecret", option_spec::kind::secret, false, "its secret"},
    {"clientCertificate", option_spec::kind::secret, false, "its certificate with private key, PEM"},
    {"federatedTokenFile", option_spec::kind::text, false, "token file of its workload identity"},
    {"managedIdentity", option_spec::kind::boolean, false, "use the managed identity of this machine"},
    {"authorityHost", option_spec::kind::url, false, "login service, default https://login.microsoftonline.com"},
    {"container", option_spec::kind::text, false, "container for the objects, default evp; made when missing"},
    {"hierarchicalNamespace", option_spec::kind::boolean, false,
     "the account has folders (Data Lake Storage): grants for all files of one become possible"},
};

constexpr std::string_view api_version = auth::azure_sas_version;
constexpr std::string_view blob_type = "x-ms-blob-type";
constexpr std::size_t block_prefix_characters = 24;
constexpr std::uint64_t block_list_max_bytes = 16ULL << 20;  // 50,000 blocks are about 6 MiB
constexpr seconds own_lifetime{300};                         // of signatures for the backend's own requests

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

/// A SAS that the user made: the parts of it that say what it permits.
struct made_sas {
  secret query;  ///< without '?'; empty: there is none
  std::string permissions;
  timestamp dies = timestamp::max();
  bool may(char permission) const { return permissions.empty() || permissions.find(permission) != permissions.npos; }
};

/// What signs.
struct authority {
  auth::azure_sas_signer signer;  ///< with the account's key, or without
  made_sas made;
  std::shared_ptr<auth::credential_cache<secret>> tokens;  ///< of the identity; null: none
  std::unique_ptr<auth::credential_cache<auth::azure_delegation_key>> delegation;
};

class azure_driver final : public driver {
 public:
  azure_driver(const driver_context& context, authority by, endpoint place, std::string container, bool has_folders)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        by_(std::move(by)),
        place_(std::move(place)),
        container_(std::move(container)),
        has_folders_(has_folders) {}

  capabilities caps() const noexcept override {
    capabilities c{.sign_get = true,
                   .max_put_bytes = 5000ULL << 20,
                   .parts = part_limits{.min_bytes = 1, .max_bytes = 4000ULL << 20, .max_parts = 50'000}};
    // A service SAS has no maximum of its own; ours is a year, because only a new account key revokes one.
    c.max_lifetime = by_.delegation ? milliseconds(auth::delegation_life) : std::chrono::hours(24 * 365);
    if (by_.made.query.empty()) {
      c.enforces = c.enforces.with(bound::create_only).with(bound::source_address);
      if (place_.scheme == "https") c.enforces = c.enforces.with(bound::https_only);
      if (has_folders_) c.enforces = c.enforces.with(bound::prefix);
      return c;
    }
    // Whoever holds it holds all of it: nothing is bound to one grant.
    c.enforces = {};
    c.sign_get = c.can_stat = by_.made.may('r');
    return c;
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    const bool whole_container = spec.is_prefix && spec.object.empty();  // which bounds nothing
    if (whole_container) spec.is_prefix = false;
    CO_CHECK(check_bounds(spec, caps().enforces));
    if (spec.is_prefix && !spec.object.ends_with('/'))
      co_return fail(errc::unsupported, "this storage can bound a grant to a folder only: the prefix must end in '/'");
    CO_TRY(const auto with, co_await grant_key());
    const auto now = clock_.now();
    CO_TRY(const auto life, lifetime_within(spec.lifetime, with.dies, now));
    const bool is_put = spec.op == operation::put;
    signed_request r{.method = is_put ? "PUT" : "GET", .expect = {is_put ? 201 : 200}};
    r.expires_at = expiry_of(now, life);
    const auto* permissions = !is_put ? "r" : spec.create_only ? "c" : "cw";
    if (spec.is_prefix || whole_container) {
      CO_TRY(const auto query, many_query(with, spec, permissions, r.expires_at));
      r.url = secret(base() + "/");
      r.after_name = secret("?" + query.reveal());
      r.slot = signed_request::name_slot::url;
    } else {
      CO_TRY(r.url, blob_url(with, spec.object, permissions, r.expires_at, spec.source_address));
    }
    for (const auto& f : spec.fields)
      if (is_put || !http::same_name(f.name, blob_type)) r.fields.push_back(f);
    if (is_put && http::find(r.fields, blob_type).empty()) r.fields.push_back({std::string(blob_type), "BlockBlob"});
    co_return r;
  }

  io::task<result<void>> prepare() override {
    auto r = request("PUT", secret(base() + "?restype=container"));
    auth::expiring<secret> token;
    if (by_.tokens) {
      CO_TRY(token, co_await by_.tokens->get());
      r.fields.push_back({"Authorization", "Bearer " + token.value.reveal()});
    } else {
      r.url = secret(r.url.reveal() + "&" + container_query().reveal());
    }
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    const auto code = http::find(answer.fields, "x-ms-error-code");
    if (answer.status == 201 || (answer.status == 409 && code == "ContainerAlreadyExists")) co_return result<void>();
    if (answer.status == 401 && by_.tokens) by_.tokens->reject(token);
    // A SAS that may not make containers is welcome: the container is there.
    const bool may_not = code == "AuthorizationPermissionMismatch" || code == "AuthorizationResourceTypeMismatch";
    if (!by_.made.query.empty() && may_not) co_return result<void>();
    co_return fail(error_of_answer(answer, "create the container", code));
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    CO_TRY(const auto with, co_await key());
    CO_TRY(auto url, blob_url(with, object, "cw", clock_.now() + own_lifetime));
    auto r = request("PUT", std::move(url));
    r.fields.push_back({std::string(blob_type), "BlockBlob"});
    r.body = std::move(bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 201) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    CO_TRY(const auto with, co_await key());
    CO_TRY(auto url, blob_url(with, object, "r", clock_.now() + own_lifetime));
    auto r = request("HEAD", std::move(url));
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return info_of_head(answer);
    co_return refused(answer, "describe an object");
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    CO_TRY(const auto with, co_await key());
    CO_TRY(auto url, blob_url(with, object, "r", clock_.now() + own_lifetime));
    auto r = request("GET", std::move(url));
    r.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    CO_TRY(const auto with, co_await key());
    CO_TRY(auto url, blob_url(with, object, "d", clock_.now() + own_lifetime));
    auto r = request("DELETE", std::move(url));
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 202 || answer.status == 404) co_return result<void>();
    co_return refused(answer, "remove an object");
  }

  // Blocks: https://learn.microsoft.com/rest/api/storageservices/put-block. Their ids are ours, so nothing has to be
  // begun; blocks that are never committed go by themselves after a week, and no request drops them sooner.
  io::task<result<std::string>> begin_parts(sign_spec spec) override {
    CO_CHECK(check_fields(spec.fields));
    co_return random_id(block_prefix_characters);
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_TRY(const auto with, co_await grant_key());
    const auto now = clock_.now();
    CO_TRY(const auto life, lifetime_within(spec.lifetime, with.dies, now));
    signed_request r{.method = "PUT", .expect = {201}};
    r.expires_at = expiry_of(now, life);
    CO_TRY(const auto url, blob_url(with, spec.object, "cw", r.expires_at));
    r.url = secret(url.reveal() + "&comp=block&blockid=" + percent_encode(block_id(upload_id, part.number)));
    co_return r;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    CO_TRY(const auto with, co_await key());
    CO_TRY(const auto url, blob_url(with, object, "r", clock_.now() + own_lifetime));
    auto r = request("GET", secret(url.reveal() + "&comp=blocklist&blocklisttype=uncommitted"));
    r.max_response_bytes = block_list_max_bytes;
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200) co_return refused(answer, "list the blocks of an upload");
    CO_TRY(auto parts, read_blocks(answer.body, upload_id));
    if (parts.empty()) co_return fail(errc::not_found, "the storage knows no block of this upload");
    co_return parts;
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    CO_TRY(const auto with, co_await key());
    CO_TRY(auto url, blob_url(with, spec.object, "cw", clock_.now() + own_lifetime));
    auto r = request("PUT", secret(url.reveal() + "&comp=blocklist"));
    for (const auto& f : spec.fields) {
      if (http::same_name(f.name, blob_type)) continue;
      const bool of_the_blob = http::same_name(f.name, "Content-Type");  // else it would be the list's own
      r.fields.push_back({of_the_blob ? "x-ms-blob-content-type" : f.name, f.value});
    }
    std::string list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
    for (const auto& p : parts)
      list.append("<Uncommitted>").append(block_id(upload_id, p.number)).append("</Uncommitted>");
    r.body = list.append("</BlockList>");
    r.total_timeout = r.stall_timeout = commit_limit;
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 201) co_return result<void>();
    co_return refused(answer, "put the blocks together");
  }

  io::task<result<void>> abort_parts(std::string, std::string) override { co_return result<void>(); }

  std::optional<auth::credential_health> health() const override {
    if (!by_.delegation) return std::nullopt;
    const auto tokens = by_.tokens->health();
    return tokens.healthy ? by_.delegation->health() : tokens;
  }

  void retire() override {
    retired_ = true;
    if (!by_.delegation) return;
    by_.delegation->drop();
    by_.tokens->drop();
  }

 private:
  /// All ids of a blob's blocks must have one length: https://learn.microsoft.com/rest/api/storageservices/put-block
  static std::string block_id(const std::string& upload_id, unsigned number) {
    return to_base64(fmt::format("{}-{:05}", upload_id, number));
  }

  /// The blocks of this upload among all that are not committed, by number.
  static result<std::vector<stored_part>> read_blocks(std::string_view body, const std::string& upload_id) {
    pugi::xml_document document;
    const auto ok = document.load_buffer(body.data(), body.size());
    const auto list = document.child("BlockList");
    if (!ok || !list) return fail(errc::data_corrupt, "the storage's list of blocks is not understood");
    std::vector<stored_part> parts;
    for (const auto block : list.child("UncommittedBlocks").children("Block")) {
      const auto id = from_base64(block.child_value("Name"));
      if (!id || !id->starts_with(upload_id + "-")) continue;
      stored_part p;
      p.number = unsigned(std::strtoul(id->c_str() + upload_id.size() + 1, nullptr, 10));
      p.size = block.child("Size").text().as_ullong();
      parts.push_back(p);
    }
    std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
    return parts;
  }

  std::string base() const { return place_.origin() + place_.target + "/" + container_; }
  std::string protocol() const { return place_.scheme == "https" ? "https" : ""; }

  /// What signs now, and when it dies.
  struct signing {
    std::optional<auth::azure_delegation_key> delegation;
    timestamp dies = timestamp::max();
  };
  io::task<result<signing>> key() {
    signing out;
    out.dies = by_.made.dies;
    if (by_.delegation) {
      CO_TRY(auto fresh, co_await by_.delegation->get(grant_least));
      out.delegation = std::move(fresh.value);
      out.dies = fresh.expires_at;
    }
    co_return out;
  }

  /// The same for grants, which a retired driver gives no more.
  io::task<result<signing>> grant_key() {
    if (retired_) co_return fail(retired_error());
    auto with = co_await key();
    if (retired_) co_return fail(retired_error());
    co_return with;
  }

  /// The signature for making the container.
  secret container_query() const {
    if (!by_.made.query.empty()) return by_.made.query;
    auth::azure_account_sas sas;
    sas.resource_types = "c";
    sas.permissions = "c";
    sas.expires = clock_.now() + own_lifetime;
    sas.protocol = protocol();
    return by_.signer.sign(sas).query;
  }

  /// A SAS names a range of IPv4 addresses, not a network:
  /// https://learn.microsoft.com/rest/api/storageservices/create-service-sas#specify-an-ip-address-or-ip-range
  static result<std::string> address_range(const std::string& network) {
    if (network.empty()) return std::string();
    TRY(const auto parsed, ip_network::parse(network));
    const auto first = parsed.first(), last = parsed.last();
    if (!first.is_v4())
      return fail(errc::invalid_argument, "bounds.sourceAddress", "this storage binds grants to IPv4 addresses only");
    return first == last ? first.to_string() : first.to_string() + "-" + last.to_string();
  }

  auth::azure_service_sas sas_for(const signing& with, std::string path, std::string permissions,
                                  timestamp expires) const {
    auth::azure_service_sas sas;
    sas.delegation = with.delegation;
    sas.container = container_;
    sas.path = std::move(path);
    sas.permissions = std::move(permissions);
    sas.expires = std::min(expires, with.dies);
    sas.protocol = protocol();
    return sas;
  }

  /// The signature for all blobs of a folder, or, with an empty name, of the container.
  result<secret> many_query(const signing& with, const sign_spec& spec, std::string permissions,
                            timestamp expires) const {
    if (!by_.made.query.empty()) return by_.made.query;
    const auto depth = int(std::count(spec.object.begin(), spec.object.end(), '/'));
    auto sas = sas_for(with, spec.object.substr(0, spec.object.size() - (depth > 0)), std::move(permissions), expires);
    if (depth > 0) sas.depth = depth;
    TRY(sas.addresses, address_range(spec.source_address));
    TRY(auto made, by_.signer.sign(sas));
    return std::move(made.query);
  }

  result<secret> blob_url(const signing& with, const std::string& object, std::string permissions, timestamp expires,
                          const std::string& source_address = {}) const {
    const auto blob = base() + "/" + percent_encode(object, true) + "?";
    if (!by_.made.query.empty()) return secret(blob + by_.made.query.reveal());
    auto sas = sas_for(with, object, std::move(permissions), expires);
    TRY(sas.addresses, address_range(source_address));
    TRY(const auto made, by_.signer.sign(sas));
    return secret(blob + made.query.reveal());
  }

  http::request request(std::string method, secret url) const {
    http::request r;
    r.method = std::move(method);
    r.url = std::move(url);
    r.fields.push_back({"x-ms-version", std::string(api_version)});
    r.ca_pem = ca_pem_;
    return r;
  }

  static tl::unexpected<error> refused(const http::response& answer, std::string_view doing) {
    return fail(error_of_answer(answer, doing, http::find(answer.fields, "x-ms-error-code")));
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  authority by_;
  endpoint place_;
  std::string container_;
  bool has_folders_;  ///< of the account: a hierarchical namespace
  bool retired_ = false;
};

/// Reads a SAS as the portal shows it. https://learn.microsoft.com/rest/api/storageservices/create-service-sas
result<made_sas> parse_sas(const secret& given) {
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
  made_sas out{.query = secret(std::string(text)), .permissions = parts["sp"]};
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

/// The identity's tokens, by the one way that the options name.
result<std::unique_ptr<auth::token_source>> identity_of(const option_values& options, const driver_context& context,
                                                        made_driver& made) {
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
    return auth::make_azure_managed_identity(*context.metadata, context.clock,
                                             std::string(auth::azure_storage_resource), options.text("clientId"));
  }
  auth::entra_application app{.tenant_id = options.text("tenantId"), .client_id = options.text("clientId")};
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

constexpr std::string_view identity_options[] = {"tenantId",          "clientId",           "clientSecret",
                                                 "clientCertificate", "federatedTokenFile", "managedIdentity",
                                                 "authorityHost"};

result<made_driver> with_driver(made_driver made, const option_values& options, const driver_context& context,
                                authority by, endpoint place) {
  auto container = options.has("container") ? options.text("container") : "evp";
  CHECK(check_container_name(container, "container", false));
  if (auto w = plain_http_warning(place); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = place.origin();
  made.instance = std::make_unique<azure_driver>(context, std::move(by), std::move(place), std::move(container),
                                                 options.text("hierarchicalNamespace") == "true");
  return made;
}

/// SAS or identity: what signs without the account's key.
result<made_driver> make_keyless(const option_values& options, const driver_context& context) {
  made_driver made;
  TRY(auto account, account_of(options));
  const auto given = options.text("endpoint");
  TRY(auto place,
      place_of(given.empty() ? "https://" + account + ".blob.core.windows.net" : given, account, "endpoint"));
  TRY(auto signer, auth::azure_sas_signer::make(account, secret()));
  authority by{.signer = std::move(signer)};
  if (options.has("sasToken")) {
    TRY(by.made, parse_sas(options.get("sasToken")));
    made.warnings.push_back(
        "Devices get sasToken itself: each of them can do all that it permits, for as long as it lives. Prefer an "
        "identity or a connectionString, whose grants are for one object.");
  } else {
    if (place.scheme != "https" && !place.is_local_or_ip())
      return fail(errc::invalid_argument, "endpoint", "must be https: the identity's token travels there");
    TRY(auto source, identity_of(options, context, made));
    by.tokens = std::make_shared<auth::credential_cache<secret>>(context.clock, std::move(source));
    auto keys = auth::make_azure_delegation(context.transport, context.clock, place.origin() + place.target, by.tokens,
                                            context.ca_pem);
    by.delegation =
        std::make_unique<auth::credential_cache<auth::azure_delegation_key>>(context.clock, std::move(keys));
  }
  return with_driver(std::move(made), options, context, std::move(by), std::move(place));
}

}  // namespace

std::span<const option_spec> azure_options() { return options_table; }

result<made_driver> make_azure(const option_values& options, const driver_context& context) {
  const bool by_key = options.has("connectionString"), by_sas = options.has("sasToken");
  bool by_identity = false;
  for (const auto name : identity_options) by_identity = by_identity || options.has(name);
  if (by_key + by_sas + by_identity != 1)
    return fail(errc::invalid_argument, "connectionString",
                "give one of connectionString, sasToken and an Entra ID identity (tenantId, clientId ... or "
                "managedIdentity)");
  if (!by_key) return make_keyless(options, context);
  if (options.has("accountName"))
    return fail(errc::invalid_argument, "accountName", "stands in connectionString already: leave it out");
  TRY(auto parts, parse_connection_string(options.get("connectionString").reveal()));
  auto signer = auth::azure_sas_signer::make(parts.account, parts.key);
  if (!signer) return bad_string("AccountKey is not base64: copy the whole connection string from Access keys");

  const auto given = options.text("endpoint");
  if (parts.url.empty() && given.empty())
    return fail(errc::invalid_argument, "endpoint",
                "missing, and connectionString has no EndpointSuffix or BlobEndpoint either");
  made_driver made;
  TRY(auto place, given.empty() ? place_of(parts.url, parts.account, "connectionString")
                                : place_of(given, parts.account, "endpoint"));
  if (!given.empty() && !parts.url.empty()) {
    TRY(const auto other, place_of(parts.url, parts.account, "connectionString"));
    if (other.origin() + other.target != place.origin() + place.target)
      made.warnings.push_back("endpoint and connectionString disagree: " + place.origin() +
                              " (endpoint) is used, not " + other.origin() + ".");
  }
  authority by{.signer = std::move(*signer)};
  return with_driver(std::move(made), options, context, std::move(by), std::move(place));
}

}  // namespace evp::storage
