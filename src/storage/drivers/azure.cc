// AZURE: Azure Blob Storage (and Azurite) with an account key. Grants are service SAS URLs for one blob.
//
// Limits: https://learn.microsoft.com/azure/storage/blobs/scalability-targets (Put Blob up to 5,000 MiB),
// https://learn.microsoft.com/rest/api/storageservices/put-blob, .../create-container, .../delete-blob
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <pugixml.hpp>

#include "auth/azure_sas.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/requests.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "blob service URL; wins over what connectionString says"},
    {"connectionString", option_spec::kind::secret, true, "as the portal shows it under Access keys"},
    {"container", option_spec::kind::text, false, "container for the objects, default evp; made when missing"},
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

class azure_driver final : public driver {
 public:
  azure_driver(const driver_context& context, auth::azure_sas_signer signer, endpoint place, std::string container)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        signer_(std::move(signer)),
        place_(std::move(place)),
        container_(std::move(container)) {}

  capabilities caps() const noexcept override {
    // A service SAS has no maximum of its own; ours is a year, because only a new account key revokes one.
    return {.sign_get = true,
            .max_lifetime = std::chrono::hours(24 * 365),
            .max_put_bytes = 5000ULL << 20,
            .parts = part_limits{.min_bytes = 1, .max_bytes = 4000ULL << 20, .max_parts = 50'000}};
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    const bool is_put = spec.op == operation::put;
    signed_request r{.method = is_put ? "PUT" : "GET", .expect = {is_put ? 201 : 200}};
    r.expires_at = expiry_of(clock_.now(), spec.lifetime);
    CO_TRY(r.url, blob_url(spec.object, is_put ? "cw" : "r", r.expires_at));
    for (const auto& f : spec.fields)
      if (is_put || !http::same_name(f.name, blob_type)) r.fields.push_back(f);
    if (is_put && http::find(r.fields, blob_type).empty()) r.fields.push_back({std::string(blob_type), "BlockBlob"});
    co_return r;
  }

  io::task<result<void>> prepare() override {
    auth::azure_account_sas sas;
    sas.resource_types = "c";
    sas.permissions = "c";
    sas.expires = clock_.now() + own_lifetime;
    sas.protocol = protocol();
    auto r = request("PUT", secret(base() + "?restype=container&" + signer_.sign(sas).query.reveal()));
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    const auto code = http::find(answer.fields, "x-ms-error-code");
    if (answer.status == 201 || (answer.status == 409 && code == "ContainerAlreadyExists")) co_return result<void>();
    co_return fail(error_of_answer(answer, "create the container", code));
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    CO_TRY(auto url, blob_url(object, "cw", clock_.now() + own_lifetime));
    auto r = request("PUT", std::move(url));
    r.fields.push_back({std::string(blob_type), "BlockBlob"});
    r.body = std::move(bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 201) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    CO_TRY(auto url, blob_url(object, "r", clock_.now() + own_lifetime));
    auto r = request("HEAD", std::move(url));
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return info_of_head(answer);
    co_return refused(answer, "describe an object");
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    CO_TRY(auto url, blob_url(object, "r", clock_.now() + own_lifetime));
    auto r = request("GET", std::move(url));
    r.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    CO_TRY(auto url, blob_url(object, "d", clock_.now() + own_lifetime));
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
    signed_request r{.method = "PUT", .expect = {201}};
    r.expires_at = expiry_of(clock_.now(), spec.lifetime);
    CO_TRY(const auto url, blob_url(spec.object, "cw", r.expires_at));
    r.url = secret(url.reveal() + "&comp=block&blockid=" + percent_encode(block_id(upload_id, part.number)));
    co_return r;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    CO_TRY(const auto url, blob_url(object, "r", clock_.now() + own_lifetime));
    auto r = request("GET", secret(url.reveal() + "&comp=blocklist&blocklisttype=uncommitted"));
    r.max_response_bytes = block_list_max_bytes;
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200) co_return refused(answer, "list the blocks of an upload");
    CO_TRY(auto parts, read_blocks(answer.body, upload_id));
    if (parts.empty()) co_return fail(errc::not_found, "the storage knows no block of this upload");
    co_return parts;
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    CO_TRY(auto url, blob_url(spec.object, "cw", clock_.now() + own_lifetime));
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

  result<secret> blob_url(const std::string& object, std::string permissions, timestamp expires) const {
    auth::azure_service_sas sas;
    sas.container = container_;
    sas.path = object;
    sas.permissions = std::move(permissions);
    sas.expires = expires;
    sas.protocol = protocol();
    TRY(const auto made, signer_.sign(sas));
    return secret(base() + "/" + percent_encode(object, true) + "?" + made.query.reveal());
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
  auth::azure_sas_signer signer_;
  endpoint place_;
  std::string container_;
};

}  // namespace

std::span<const option_spec> azure_options() { return options_table; }

result<made_driver> make_azure(const option_values& options, const driver_context& context) {
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
  auto container = options.has("container") ? options.text("container") : "evp";
  CHECK(check_container_name(container, "container", false));
  if (auto w = plain_http_warning(place); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = place.origin();
  made.instance = std::make_unique<azure_driver>(context, std::move(*signer), std::move(place), std::move(container));
  return made;
}

}  // namespace evp::storage
