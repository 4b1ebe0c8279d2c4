// AZURE: Azure Blob Storage (and Azurite). Grants are SAS URLs for one blob, signed with the account's key or with a
// user delegation key of an Entra ID identity; or a SAS that the user made is handed out as it is.
//
// Limits: https://learn.microsoft.com/rest/api/storageservices/put-blob (up to 5,000 MiB),
// https://learn.microsoft.com/azure/storage/blobs/scalability-targets (blocks), .../create-container, .../delete-blob
#include <fmt/format.h>

#include <algorithm>
#include <pugixml.hpp>

#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/address.h"
#include "storage/drivers/azure_authority.h"
#include "storage/drivers/azure_policies.h"
#include "storage/drivers/drivers.h"

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
    {"storedAccessPolicy", option_spec::kind::text, false,
     "name of stored access policies for the grants of this container, so that a block with vendor=true ends them; "
     "with connectionString only"},
    {"accountResourceId", option_spec::kind::text, false,
     "with an identity: resource id of the account, so that a block with vendor=true revokes its user delegation keys"},
    {"managementEndpoint", option_spec::kind::url, false,
     "resource manager of another cloud, default https://management.azure.com"},
    {"hierarchicalNamespace", option_spec::kind::boolean, false,
     "the account has folders (Data Lake Storage): grants for all files of one become possible"},
};

constexpr std::string_view api_version = auth::azure_sas_version;
constexpr std::string_view blob_type = "x-ms-blob-type";
constexpr std::size_t block_prefix_characters = 24;
constexpr std::uint64_t block_list_max_bytes = 16ULL << 20;  // 50,000 blocks are about 6 MiB
constexpr seconds own_lifetime{300};                         // of signatures for the backend's own requests

class azure_driver final : public driver {
 public:
  /// `policy` is the name of stored access policies; empty: none.
  azure_driver(const driver_context& context, azure_authority by, std::string container, bool has_folders,
               std::string policy)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        by_(std::move(by)),
        container_(std::move(container)),
        base_(by_.place.origin() + by_.place.target + "/" + container_),
        has_folders_(has_folders) {
    if (!policy.empty())
      policies_ = std::make_unique<azure_policies>(context, by_.signer, by_.place, container_, std::move(policy));
  }

  capabilities caps() const noexcept override {
    capabilities c{.sign_get = true,
                   .max_put_bytes = 5000ULL << 20,
                   .parts = part_limits{.min_bytes = 1, .max_bytes = 4000ULL << 20, .max_parts = 50'000}};
    // A service SAS has no maximum of its own; ours is a year, because only a new account key revokes one.
    c.max_lifetime = by_.delegation ? milliseconds(auth::delegation_life) : std::chrono::hours(24 * 365);
    if (by_.made.query.empty()) {
      c.enforces = c.enforces.with(bound::create_only).with(bound::source_address);
      if (by_.place.scheme == "https") c.enforces = c.enforces.with(bound::https_only);
      if (has_folders_) c.enforces = c.enforces.with(bound::prefix);
      return c;
    }
    // Whoever holds it holds all of it: nothing is bound to one grant.
    c.enforces = {};
    c.sign_get = c.can_stat = by_.made.may('r');
    return c;
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    const auto can = caps();
    CO_CHECK(check_lifetime(spec.lifetime, can.max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    const bool whole_container = spec.is_prefix && spec.object.empty();  // which bounds nothing
    if (whole_container) spec.is_prefix = false;
    CO_CHECK(check_bounds(spec, can.enforces));
    if (spec.is_prefix && !spec.object.ends_with('/'))
      co_return fail(errc::unsupported, "this storage can bound a grant to a folder only: the prefix must end in '/'");
    if (retired_) co_return fail(retired_error());
    // Thousands of grants a second: what needs no waiting is no coroutine of its own.
    signing with{.dies = by_.made.dies};
    if (by_.delegation || policies_) { CO_TRY(with, co_await grant_key()); }
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
    if (answer.status == 201 || (answer.status == 409 && code == "ContainerAlreadyExists")) {
      if (policies_) CO_CHECK(co_await policies_->prepare());
      co_return result<void>();
    }
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

  std::optional<vendor_lever> lever() const override {
    if (policies_) return azure_policies::lever();
    if (by_.revocation) return by_.revocation->lever();
    return std::nullopt;
  }

  io::task<result<void>> end_grants() override {
    auto ending = policies_ ? policies_->end_all() : by_.revocation ? by_.revocation->pull() : driver::end_grants();
    auto outcome = co_await std::move(ending);
    co_return outcome;
  }

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

  const std::string& base() const noexcept { return base_; }
  std::string protocol() const { return by_.place.scheme == "https" ? "https" : ""; }

  /// What signs now, and when it dies.
  struct signing {
    std::optional<auth::azure_delegation_key> delegation;
    timestamp dies = timestamp::max();
    bool by_policy = false;  ///< what it permits stands in a stored access policy
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
    if (policies_ && with) {
      if (!policies_->is_ready()) CO_CHECK(co_await prepare());
      with->by_policy = true;
    }
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
    if (with.by_policy)
      sas.policy = policies_->id_for(permissions);
    else
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
    std::string url;
    url.reserve(base().size() + 3 * object.size() + 300);
    url.append(base()).append("/");
    append_percent_encoded(url, object, true);
    url.append("?");
    if (!by_.made.query.empty()) return secret(std::move(url.append(by_.made.query.reveal())));
    auto sas = sas_for(with, object, std::move(permissions), expires);
    TRY(sas.addresses, address_range(source_address));
    TRY(const auto made, by_.signer.sign(sas));
    return secret(std::move(url.append(made.query.reveal())));
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
  azure_authority by_;
  std::string container_, base_;              // base_: the URL of the container
  std::unique_ptr<azure_policies> policies_;  ///< null: grants say themselves what they permit
  bool has_folders_;                          ///< of the account: a hierarchical namespace
  bool retired_ = false;
};

}  // namespace

std::span<const option_spec> azure_options() { return options_table; }

result<made_driver> make_azure(const option_values& options, const driver_context& context) {
  made_driver made;
  TRY(auto by, azure_authority_of(options, context, made));
  auto container = options.has("container") ? options.text("container") : "evp";
  CHECK(check_container_name(container, "container", false));
  if (auto w = plain_http_warning(by.place); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = by.place.origin();
  auto policy = options.text("storedAccessPolicy");
  if (options.has("storedAccessPolicy")) CHECK(azure_policies::check_name(policy));
  if (!policy.empty() && !options.has("connectionString"))
    return fail(errc::invalid_argument, "storedAccessPolicy",
                "needs connectionString: no other signature names a policy");
  made.instance = std::make_unique<azure_driver>(context, std::move(by), std::move(container),
                                                 options.text("hierarchicalNamespace") == "true", std::move(policy));
  return made;
}

}  // namespace evp::storage
