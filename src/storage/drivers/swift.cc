// SWIFT: OpenStack Swift, and what speaks its protocol (Ceph RGW). Grants are temporary URLs, signed with a key that
// the container gets from us; the backend's own requests carry a token of Keystone or of Swift's older login.
//
// https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html,
// https://docs.openstack.org/api-ref/object-store/ (one PUT up to 5 GiB),
// https://docs.openstack.org/swift/latest/overview_large_objects.html (1,000 segments of a static large object)
#include "auth/credentials/swift_tokens.h"
#include "auth/tempurl.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/requests.h"
#include "storage/drivers/swift_parts.h"

namespace evp::storage {
namespace {

using kind = option_spec::kind;
constexpr option_spec options_table[] = {
    {"authUrl", kind::url, true, "Keystone's URL ending in /v3, or Swift's own login, ending in /auth/v1.0"},
    {"username", kind::text, false, "user; for the older login account:user"},
    {"password", kind::secret, false, "the user's password, or the key of the older login"},
    {"userDomain", kind::text, false, "name of the user's domain, default Default"},
    {"project", kind::text, false, "name of the project, for Keystone"},
    {"projectDomain", kind::text, false, "name of the project's domain, default Default"},
    {"applicationCredentialId", kind::text, false, "application credential instead of user and project"},
    {"applicationCredentialSecret", kind::secret, false, "its secret"},
    {"region", kind::text, false, "which object store of Keystone's catalogue, default the first"},
    {"endpoint", kind::url, false, "storage URL (https://host/v1/AUTH_...), default what the login says"},
    {"tempUrlKey", kind::secret, true, "a long random text; the container gets it for its temporary URLs"},
    {"tempUrlDigest", kind::text, false, "sha256 (default), sha512, or sha1, which is all that Ceph RGW knows"},
    {"container", kind::text, false, "container for the objects, default evp; made when missing"},
};

constexpr std::size_t key_min = 16;
constexpr std::size_t upload_id_characters = 26;  // 130 random bits
constexpr std::size_t part_name_bytes = 64;       // more than what a segment's name has beside the object's
// Tells a late abort that the segments are an object's bytes now (docs/adr/0023).
constexpr std::string_view upload_field = "X-Object-Meta-Evp-Upload";
constexpr std::string_view key_field = "X-Container-Meta-Temp-URL-Key";

using login_cache = auth::credential_cache<auth::swift_access>;

class swift_driver final : public driver {
 public:
  swift_driver(const driver_context& context, std::unique_ptr<auth::swift_source> login, std::string storage_url,
               hash digest, secret key, std::string container)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        login_(clock_, std::move(login)),
        storage_url_(std::move(storage_url)),
        digest_(digest),
        signer_(digest, key),
        key_(std::move(key)),
        container_(std::move(container)),
        segments_(container_ + "_segments") {}

  capabilities caps() const noexcept override {
    // A temporary URL has no maximum of its own; ours is a year, because only a new key revokes one.
    capabilities c{.sign_get = true, .max_lifetime = std::chrono::hours(24 * 365), .max_put_bytes = 5ULL << 30};
    c.parts = part_limits{.min_bytes = 1 << 20, .max_parts = 1'000};
    c.enforces = c.enforces.with(bound::prefix);
    if (digest_ != hash::sha1) c.enforces = c.enforces.with(bound::source_address);  // Ceph RGW does not
    return c;
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    const bool is_put = spec.op == operation::put;
    CO_TRY(auto r, co_await temporary(is_put ? "PUT" : "GET", container_, spec));
    if (is_put) r.fields = std::move(spec.fields);
    co_return r;
  }

  io::task<result<void>> prepare() override {
    auto outcome = co_await make_container(container_);
    co_return outcome;
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    auto path = container_ + "/" + object;
    CO_TRY(auto r, co_await request("PUT", std::move(path)));
    r.exchange.body = std::move(bytes);
    CO_TRY(const auto answer, co_await send(std::move(r)));
    if (answer.status == 201) co_return result<void>();
    co_return fail(error_of_answer(answer, "store an object", ""));
  }

  io::task<result<object_info>> stat(std::string object) override {
    auto path = container_ + "/" + object;
    CO_TRY(auto r, co_await request("HEAD", std::move(path)));
    CO_TRY(const auto answer, co_await send(std::move(r)));
    if (answer.status == 200) co_return info_of_head(answer);
    co_return fail(error_of_answer(answer, "describe an object", ""));
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    auto path = container_ + "/" + object;
    CO_TRY(auto r, co_await request("GET", std::move(path)));
    r.exchange.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await send(std::move(r)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return fail(error_of_answer(answer, "read an object", ""));
  }

  io::task<result<void>> remove(std::string object) override {
    CO_TRY(const auto seen, co_await look_at(object));
    auto path = container_ + "/" + object;
    CO_TRY(auto r, co_await request("DELETE", std::move(path), seen.is_manifest ? "?multipart-manifest=delete" : ""));
    CO_TRY(const auto answer, co_await send(std::move(r)));
    // With its segments: the status is sent before the outcome is known, which the body tells.
    if (seen.is_manifest && answer.status == 200 && answer.body.find("200 OK") == std::string::npos)
      co_return fail(errc::unavailable, "the storage could not remove all segments of an object: try again");
    if (answer.status == 204 || answer.status == 200 || answer.status == 404) co_return result<void>();
    co_return fail(error_of_answer(answer, "remove an object", ""));
  }

  // Segments lie in the container "<container>_segments", by temporary URL each; the manifest, which a temporary URL
  // cannot carry, is the backend's.
  io::task<result<std::string>> begin_parts(sign_spec spec) override {
    CO_CHECK(check_fields(spec.fields));
    if (spec.object.size() + part_name_bytes > swift_name_max_bytes)
      co_return fail(errc::invalid_argument, "filename", "is too long for an upload in parts: use a shorter name");
    CO_CHECK(co_await make_container(segments_));
    co_return random_id(upload_id_characters);
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    spec.object = swift_segment_name(spec.object, upload_id, part.number);
    auto r = co_await temporary("PUT", segments_, std::move(spec));
    co_return r;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    CO_TRY(const auto seen, co_await look_at(object));
    if (seen.upload_id == upload_id) co_return fail(errc::not_found, "the upload has become an object already");
    CO_TRY(auto parts, co_await segments_of(object, upload_id));
    if (parts.empty()) co_return fail(errc::not_found, "the storage knows no segment of this upload");
    co_return parts;
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    auto path = container_ + "/" + spec.object;
    CO_TRY(auto r, co_await request("PUT", std::move(path), "?multipart-manifest=put"));
    r.exchange.fields.insert(r.exchange.fields.end(), spec.fields.begin(), spec.fields.end());
    r.exchange.fields.push_back({std::string(upload_field), upload_id});
    r.exchange.body = swift_manifest(segments_, spec.object, upload_id, parts);
    r.exchange.total_timeout = r.exchange.stall_timeout = commit_limit;
    CO_TRY(const auto answer, co_await send(std::move(r)));
    if (answer.status == 201) co_return result<void>();
    if (answer.status == 400 || answer.status == 404)  // Swift, Ceph RGW
      co_return fail(errc::failed_precondition, "the storage refuses the segments: one is missing or has changed");
    co_return fail(error_of_answer(answer, "put the segments together", ""));
  }

  io::task<result<void>> abort_parts(std::string object, std::string upload_id) override {
    CO_TRY(const auto seen, co_await look_at(object));
    if (seen.upload_id == upload_id) co_return result<void>();  // they are the object now
    CO_TRY(const auto parts, co_await segments_of(object, upload_id));
    for (const auto& p : parts) {
      auto path = segments_ + "/" + swift_segment_name(object, upload_id, p.number);
      CO_TRY(auto r, co_await request("DELETE", std::move(path)));
      CO_TRY(const auto answer, co_await send(std::move(r)));
      if (answer.status != 204 && answer.status != 200 && answer.status != 404)
        co_return fail(error_of_answer(answer, "drop a segment", ""));
    }
    co_return result<void>();
  }

  std::optional<auth::credential_health> health() const override { return login_.health(); }

  void retire() override {
    retired_ = true;
    login_.drop();
  }

 private:
  /// A request of the backend itself, with the credential that it carries.
  struct own_request {
    http::request exchange;
    auth::expiring<auth::swift_access> with;
  };

  static result<endpoint> read_storage_url(const std::string& url) {
    auto place = parse_endpoint(url);
    if (!place) return fail(errc::unavailable, "the login names a storage URL that is none: set endpoint");
    auto path = percent_decode(place->target);
    if (!path) return fail(errc::unavailable, "the login names a storage URL that is none: set endpoint");
    place->target = std::move(*path);
    return place;
  }

  /// Where the account is; its path decoded.
  io::task<result<endpoint>> storage() {
    if (!storage_url_.empty()) co_return read_storage_url(storage_url_);
    CO_TRY(const auto access, co_await login_.get());
    co_return read_storage_url(access.value.storage_url);
  }

  /// A temporary URL for the spec's object, or for the names that begin with it, in that container.
  io::task<result<signed_request>> temporary(std::string method, std::string container, sign_spec spec) {
    if (retired_) co_return fail(retired_error());
    CO_TRY(const auto place, co_await storage());
    if (retired_) co_return fail(retired_error());
    auth::tempurl_request wanted;
    wanted.method = std::move(method);
    wanted.origin = place.origin();
    const auto folder = place.target + "/" + container + "/";
    wanted.path = spec.is_prefix ? folder : folder + spec.object;
    wanted.address_range = spec.source_address;
    wanted.expires_at = expiry_of(clock_.now(), spec.lifetime);
    signed_request r{.method = wanted.method, .expires_at = wanted.expires_at};
    r.expect = {wanted.method == "PUT" ? 201 : 200};
    if (spec.is_prefix) {
      wanted.prefix = std::move(spec.object);
      r.url = secret(place.origin() + percent_encode(folder, true));
      r.after_name = signer_.query(wanted);
      r.slot = signed_request::name_slot::url;
    } else {
      r.url = signer_.sign(wanted);
    }
    co_return r;
  }

  /// With our key for temporary URLs; one that is there gets it too.
  io::task<result<void>> make_container(std::string name) {
    CO_TRY(auto r, co_await request("PUT", std::move(name)));
    r.exchange.fields.push_back({std::string(key_field), key_.reveal()});
    CO_TRY(const auto answer, co_await send(std::move(r)));
    if (answer.status == 201 || answer.status == 202 || answer.status == 204) co_return result<void>();
    co_return fail(error_of_answer(answer, "make the container", ""));
  }

  /// What the object is to uploads in parts; a missing one is nothing.
  struct large_object {
    bool is_manifest = false;
    std::string upload_id;  ///< of a manifest of ours
  };
  io::task<result<large_object>> look_at(std::string object) {
    auto path = container_ + "/" + object;
    CO_TRY(auto r, co_await request("HEAD", std::move(path)));
    CO_TRY(const auto answer, co_await send(std::move(r)));
    large_object seen;
    if (answer.status == 404) co_return seen;
    if (answer.status != 200) co_return fail(error_of_answer(answer, "describe an object", ""));
    seen.is_manifest = to_lower(http::find(answer.fields, "X-Static-Large-Object")) == "true";
    if (seen.is_manifest) seen.upload_id = std::string(http::find(answer.fields, upload_field));
    co_return seen;
  }

  io::task<result<std::vector<stored_part>>> segments_of(std::string object, std::string upload_id) {
    const auto prefix = swift_segments_prefix(object, upload_id);
    swift_segment_list all;
    do {
      std::string query = "?format=xml&limit=1000&prefix=" + percent_encode(prefix);
      if (!all.last.empty()) query += "&marker=" + percent_encode(all.last);
      CO_TRY(auto r, co_await request("GET", segments_, std::move(query)));
      r.exchange.max_response_bytes = swift_list_max_bytes;
      CO_TRY(const auto answer, co_await send(std::move(r)));
      if (answer.status == 404 || answer.status == 204) break;
      if (answer.status != 200) co_return fail(error_of_answer(answer, "list the segments of an upload", ""));
      CO_CHECK(read_swift_segments(answer.body, prefix, all));
    } while (all.more);
    co_return std::move(all.parts);
  }

  /// Of "<container>" or "<container>/<object>", with a query that is encoded.
  io::task<result<own_request>> request(std::string method, std::string what, std::string query = {}) {
    own_request out;
    CO_TRY(out.with, co_await login_.get());
    CO_TRY(const auto place, read_storage_url(storage_url_.empty() ? out.with.value.storage_url : storage_url_));
    const auto path = place.target + "/" + what;
    out.exchange.method = std::move(method);
    out.exchange.url = secret(place.origin() + percent_encode(path, true) + query);
    out.exchange.fields.push_back({"X-Auth-Token", out.with.value.token.reveal()});
    if (out.exchange.method == "PUT") out.exchange.body = std::string();
    out.exchange.ca_pem = ca_pem_;
    co_return out;
  }

  /// A token that is refused before its time is fetched anew for the next request.
  io::task<result<http::response>> send(own_request r) {
    CO_TRY(auto answer, co_await transport_.send(std::move(r.exchange)));
    if (answer.status == 401) login_.reject(r.with);
    co_return answer;
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  login_cache login_;
  std::string storage_url_;  // empty: what the login says
  hash digest_;
  auth::tempurl_signer signer_;
  secret key_;
  std::string container_, segments_;
  bool retired_ = false;
};

result<hash> digest_of(const option_values& options) {
  const auto name = options.text("tempUrlDigest");
  if (name.empty() || name == "sha256") return hash::sha256;
  if (name == "sha512") return hash::sha512;
  if (name == "sha1") return hash::sha1;
  return fail(errc::invalid_argument, "tempUrlDigest", "must be sha256, sha512 or sha1");
}

tl::unexpected<error> lacks(std::string_view field, std::string_view why) {
  return fail(errc::invalid_argument, std::string(field), "is missing: " + std::string(why));
}

result<std::unique_ptr<auth::swift_source>> login_of(const option_values& options, const driver_context& context,
                                                     const std::string& url) {
  const bool keystone = url.ends_with("/v3"), older = url.ends_with("/v1.0") || url.ends_with("/v1");
  if (!keystone && !older)
    return fail(errc::invalid_argument, "authUrl", "must end in /v3 (Keystone) or /auth/v1.0 (Swift's own login)");
  const bool by_application = options.has("applicationCredentialId");
  if (by_application && !keystone)
    return fail(errc::invalid_argument, "applicationCredentialId", "is for Keystone: authUrl must end in /v3");
  if (by_application != options.has("applicationCredentialSecret"))
    return fail(errc::invalid_argument, "applicationCredentialSecret", "goes together with applicationCredentialId");
  for (const std::string_view field : {"username", "password", "project"})
    if (by_application && options.has(field))
      return fail(errc::invalid_argument, std::string(field),
                  "is contained in the application credential: leave it out");
  if (!by_application && !options.has("username")) return lacks("username", "who logs in?");
  if (!by_application && !options.has("password")) return lacks("password", "with what does the user log in?");
  if (older) {
    for (const std::string_view field : {"project", "userDomain", "projectDomain", "region"})
      if (options.has(field))
        return fail(errc::invalid_argument, std::string(field), "is for Keystone: the older login has none");
    return auth::make_swift_v1(context.transport, context.clock,
                               {url, options.text("username"), options.get("password"), context.ca_pem});
  }
  if (!by_application && !options.has("project")) return lacks("project", "which one owns the container?");
  auth::keystone_login login;
  login.url = url;
  login.user = options.text("username");
  login.password = options.get("password");
  if (options.has("userDomain")) login.user_domain = options.text("userDomain");
  login.project = options.text("project");
  if (options.has("projectDomain")) login.project_domain = options.text("projectDomain");
  login.application_credential_id = options.text("applicationCredentialId");
  login.application_credential_secret = options.get("applicationCredentialSecret");
  login.region = options.text("region");
  login.ca_pem = context.ca_pem;
  return auth::make_keystone(context.transport, std::move(login));
}

}  // namespace

std::span<const option_spec> swift_options() { return options_table; }

result<made_driver> make_swift(const option_values& options, const driver_context& context) {
  auto at = parse_endpoint(options.text("authUrl"));
  if (!at) return fail(std::move(at.error()).at("authUrl"));
  if (at->scheme != "https" && !at->is_local_or_ip())
    return fail(errc::invalid_argument, "authUrl", "must be https: passwords travel there");
  TRY(auto login, login_of(options, context, at->origin() + at->target));

  made_driver made;
  made.endpoint = at->origin();
  std::string storage_url;
  if (options.has("endpoint")) {
    auto place = parse_endpoint(options.text("endpoint"));
    if (!place) return fail(std::move(place.error()).at("endpoint"));
    if (place->target.empty())
      return fail(errc::invalid_argument, "endpoint",
                  "must be the account's storage URL, such as https://host/v1/AUTH_abc");
    storage_url = place->origin() + place->target;
    made.endpoint = place->origin();
    made.others.push_back({"authUrl", at->origin()});
    if (auto w = plain_http_warning(*place); !w.empty()) made.warnings.push_back(std::move(w));
  }
  TRY(const auto digest, digest_of(options));
  if (options.get("tempUrlKey").size() < key_min || has_control_characters(options.get("tempUrlKey").reveal()))
    return fail(errc::invalid_argument, "tempUrlKey",
                "must have at least 16 characters: make it with openssl rand -hex 32");
  auto container = options.has("container") ? options.text("container") : "evp";
  CHECK(check_container_name(container, "container", true));
  made.instance = std::make_unique<swift_driver>(context, std::move(login), std::move(storage_url), digest,
                                                 options.get("tempUrlKey"), std::move(container));
  return made;
}

}  // namespace evp::storage
