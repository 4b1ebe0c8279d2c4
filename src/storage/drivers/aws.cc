// AWS: Amazon S3 and every storage that speaks its protocol. Grants are presigned URLs (Signature Version 4).
//
// Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (one PUT up to 5 GiB),
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html (604,800 s)
#include <fmt/format.h>

#include "auth/credentials/aws_sts.h"
#include "auth/credentials/metadata.h"
#include "auth/sigv4.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/requests.h"
#include "storage/drivers/s3_parts.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of an S3 service; default https://s3.<region>.amazonaws.com"},
    {"region", option_spec::kind::text, false, "region that signatures name, default us-east-1"},
    {"bucket", option_spec::kind::text, false, "bucket for the objects, default evp; made when missing"},
    {"container", option_spec::kind::text, false, "another word for bucket"},
    {"credentials", option_spec::kind::text, false,
     "where credentials come from: static (default), instance, container or webIdentity"},
    {"accessKeyId", option_spec::kind::text, false, "access key id; needed for static credentials"},
    {"secretAccessKey", option_spec::kind::secret, false, "its secret"},
    {"sessionToken", option_spec::kind::secret, false, "of temporary credentials"},
    {"roleArn", option_spec::kind::text, false, "role to assume with these credentials"},
    {"externalId", option_spec::kind::text, false, "what the role's trust policy demands"},
    {"roleSessionName", option_spec::kind::text, false, "name of the role's sessions, default openevp"},
    {"webIdentityTokenFile", option_spec::kind::text, false, "token file of the workload's identity, for roleArn"},
    {"stsEndpoint", option_spec::kind::url, false,
     "URL of the token service; default https://sts.<region>.amazonaws.com, or the endpoint where that is another's"},
    {"pathStyle", option_spec::kind::boolean, false,
     "bucket in the path (default but for amazonaws.com), not in the host"},
};

struct place {
  endpoint at;
  std::string bucket;
  bool path_style = false;
};

/// Keys that the user gave, or where to fetch some.
struct key_source {
  auth::aws_credentials given;
  std::unique_ptr<auth::aws_source> fetched;
};

class aws_driver final : public driver {
 public:
  /// Keys that are given sign by themselves; all else comes from the cache.
  aws_driver(const driver_context& context, key_source keys, std::string region, place where)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        region_(std::move(region)),
        where_(std::move(where)) {
    if (keys.fetched)
      cache_ = std::make_unique<auth::credential_cache<auth::aws_credentials>>(clock_, std::move(keys.fetched));
    else
      current_ = {std::make_shared<auth::sigv4_signer>(std::move(keys.given), region_), timestamp::max()};
  }

  capabilities caps() const noexcept override {
    return {.sign_get = true,
            .max_lifetime = seconds(604'800),
            .max_put_bytes = 5ULL << 30,
            .signs_fields = true,
            .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::content_type, bound::sha256,
                         bound::create_only},
            .parts = part_limits{}};
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    CO_TRY(const auto with, co_await grant_signer());
    const auto now = clock_.now();
    CO_TRY(const auto life, lifetime_within(spec.lifetime, with.dies, now));
    CO_TRY(const auto fields, bounded_fields(spec));
    signed_request r{.method = spec.op == operation::put ? "PUT" : "GET", .fields = fields, .expect = {200}};
    auto wanted = request(r.method, "/" + spec.object);
    if (spec.portless_host) wanted.host = where_.at.host;
    for (const auto& f : fields)
      if (arrives_unchanged(f.name)) wanted.fields.push_back(f);
    if (spec.size) wanted.fields.push_back({"Content-Length", std::to_string(*spec.size)});  // the sender adds it
    // X-Amz-Date has whole seconds, so a life in whole seconds from there ends no later than asked for.
    const auto lifetime = std::chrono::floor<seconds>(life);
    r.expires_at = std::chrono::floor<seconds>(now) + lifetime;
    r.url = with.signer->presign(wanted, now, lifetime);
    if (spec.portless_host) CO_CHECK(check_small_head(r));
    co_return r;
  }

  io::task<result<void>> prepare() override {
    auto look = request("GET", "");
    look.query = {{"list-type", "2"}, {"max-keys", "1"}};
    CO_TRY(const auto with, co_await signer());
    auto looking = own_request(with, look, "");
    CO_TRY(auto found, co_await transport_.send(std::move(looking)));
    const auto code = s3_error_code(found.body);
    // A key that may write but not list is welcome: the bucket is there.
    if (found.status == 200 || code == "AccessDenied") co_return result<void>();
    if (found.status != 404) co_return refused(found, "list the bucket");

    auto creation = own_request(with, request("PUT", ""), location_constraint());
    CO_TRY(auto made, co_await transport_.send(std::move(creation)));
    const auto why = s3_error_code(made.body);
    if (made.status == 200 || why == "BucketAlreadyOwnedByYou") co_return result<void>();
    co_return refused(made, "create the bucket");
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    CO_TRY(const auto with, co_await signer());
    auto r = own_request(with, request("PUT", "/" + object), std::move(bytes));
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    CO_TRY(const auto with, co_await signer());
    auto r = own_request(with, request("HEAD", "/" + object), "");
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return info_of_head(answer);
    co_return refused(answer, "describe an object");
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    CO_TRY(const auto with, co_await signer());
    auto r = own_request(with, request("GET", "/" + object), "");
    r.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    CO_TRY(const auto with, co_await signer());
    auto r = own_request(with, request("DELETE", "/" + object), "");
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 204 || answer.status == 200 || answer.status == 404) co_return result<void>();
    co_return refused(answer, "remove an object");
  }

  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
  io::task<result<std::string>> begin_parts(sign_spec spec) override {
    CO_CHECK(check_fields(spec.fields));
    auto wanted = request("POST", "/" + spec.object);
    wanted.query = {{"uploads", ""}};
    for (const auto& f : spec.fields)
      if (arrives_unchanged(f.name)) wanted.fields.push_back(f);
    CO_TRY(const auto with, co_await signer());
    auto r = own_request(with, wanted, "");
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200) co_return refused(answer, "begin an upload in parts");
    co_return s3_upload_id(answer.body);
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_TRY(const auto with, co_await grant_signer());
    const auto now = clock_.now();
    CO_TRY(const auto life, lifetime_within(spec.lifetime, with.dies, now));
    auto wanted = parts_request("PUT", spec.object, upload_id);
    wanted.query.emplace_back("partNumber", std::to_string(part.number));
    const auto lifetime = std::chrono::floor<seconds>(life);
    signed_request out{.method = "PUT", .expect = {200}};
    out.expires_at = std::chrono::floor<seconds>(now) + lifetime;
    out.url = with.signer->presign(wanted, now, lifetime);
    co_return out;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    s3_part_list all;
    do {
      auto wanted = parts_request("GET", object, upload_id);
      if (!all.parts.empty()) wanted.query.emplace_back("part-number-marker", std::to_string(all.parts.back().number));
      CO_TRY(const auto with, co_await signer());
      auto r = own_request(with, wanted, "");
      r.max_response_bytes = s3_list_max_bytes;
      CO_TRY(auto answer, co_await transport_.send(std::move(r)));
      if (answer.status != 200) co_return refused(answer, "list the parts of an upload");
      CO_CHECK(read_s3_parts(answer.body, all));
    } while (all.more);
    co_return std::move(all.parts);
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    CO_TRY(const auto with, co_await signer());
    auto r = own_request(with, parts_request("POST", spec.object, upload_id), s3_commit_body(parts));
    r.total_timeout = r.stall_timeout = commit_limit;
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    // The status may be sent before the outcome is known: an error then comes with 200.
    const auto code = s3_error_code(answer.body);
    if (answer.status == 200 && code.empty()) co_return result<void>();
    co_return fail(error_of_answer(answer, "put the parts together", code));
  }

  io::task<result<void>> abort_parts(std::string object, std::string upload_id) override {
    CO_TRY(const auto with, co_await signer());
    auto r = own_request(with, parts_request("DELETE", object, upload_id), "");
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 204 || answer.status == 404) co_return result<void>();
    co_return refused(answer, "drop the parts of an upload");
  }

  std::optional<auth::credential_health> health() const override {
    if (!cache_) return std::nullopt;
    return cache_->health();
  }

  void retire() override {
    retired_ = true;
    if (!cache_) return;
    cache_->drop();
    current_ = {};
    of_current_ = {};
  }

 private:
  /// The service's fields and those that bind the grant: S3 refuses a request without what was signed.
  /// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
  static result<http::headers> bounded_fields(const sign_spec& spec) {
    auto fields = spec.fields;
    CHECK(bind_content_type(fields, spec.content_type));
    if (!spec.sha256.empty()) fields.push_back({"x-amz-content-sha256", spec.sha256});
    if (spec.create_only) fields.push_back({"If-None-Match", "*"});
    return fields;
  }

  /// A request about an upload in parts.
  auth::sigv4_request parts_request(std::string method, const std::string& object, const std::string& upload_id) const {
    auto r = request(std::move(method), "/" + object);
    r.query = {{"uploadId", upload_id}};
    return r;
  }

  /// A request below the bucket: path is "" or "/object".
  auth::sigv4_request request(std::string method, std::string path) const {
    auth::sigv4_request r;
    r.method = std::move(method);
    r.scheme = where_.at.scheme;
    r.authority = where_.at.authority();
    r.path = where_.path_style ? "/" + where_.bucket + path : path.empty() ? "/" : path;
    return r;
  }

  struct signing {
    std::shared_ptr<const auth::sigv4_signer> signer;
    timestamp dies;  ///< of its credentials
  };

  /// The signer of the credentials that are good now; one for as long as they last, since it keeps a key of the day.
  io::task<result<signing>> signer() {
    if (!cache_) co_return current_;
    CO_TRY(auto fresh, co_await cache_->get(grant_least));
    if (!current_.signer || !(fresh.value == of_current_)) {
      of_current_ = fresh.value;
      current_ = {std::make_shared<auth::sigv4_signer>(std::move(fresh.value), region_), fresh.expires_at};
    }
    current_.dies = fresh.expires_at;
    co_return current_;
  }

  /// The same for grants, which a retired driver gives no more.
  io::task<result<signing>> grant_signer() {
    if (retired_) co_return fail(retired_error());
    auto with = co_await signer();
    if (retired_) co_return fail(retired_error());
    co_return with;
  }

  /// A request of the backend itself, signed in its fields, payload included.
  http::request own_request(const signing& with, const auth::sigv4_request& wanted, std::string body) const {
    http::request r;
    r.method = wanted.method;
    r.url = secret(auth::sigv4_signer::url_of(wanted));
    r.fields = with.signer->sign_headers(wanted, clock_.now(), to_hex(sha256(body)));
    r.fields.insert(r.fields.end(), wanted.fields.begin(), wanted.fields.end());
    if (wanted.method == "PUT" || wanted.method == "POST") r.body = std::move(body);
    r.ca_pem = ca_pem_;
    return r;
  }

  /// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html: needed in all regions but us-east-1.
  std::string location_constraint() const {
    if (region_ == "us-east-1" || !where_.at.host.ends_with(".amazonaws.com")) return {};
    return "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>" +
           region_ + "</LocationConstraint></CreateBucketConfiguration>";
  }

  tl::unexpected<error> refused(const http::response& answer, std::string_view doing) {
    const auto code = s3_error_code(answer.body);
    if (cache_ && (code == "ExpiredToken" || code == "InvalidToken" || code == "InvalidAccessKeyId")) {
      const auth::expiring<auth::aws_credentials> used{of_current_, current_.dies};
      cache_->reject(used);
    }
    return fail(error_of_answer(answer, doing, code));
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  std::string region_;
  place where_;
  std::unique_ptr<auth::credential_cache<auth::aws_credentials>> cache_;  // null: the keys are given
  signing current_;
  auth::aws_credentials of_current_;
  bool retired_ = false;
};

/// Bucket and the way it is addressed; the bucket becomes part of the host where it may.
result<place> place_of(const option_values& options, const std::string& region) {
  place p;
  const auto given = options.text("endpoint");
  auto at = parse_endpoint(given.empty() ? "https://s3." + region + ".amazonaws.com" : given);
  if (!at) return fail(std::move(at.error()).at("endpoint"));
  if (!at->target.empty())
    return fail(errc::invalid_argument, "endpoint", "must end after host and port: the bucket has a field of its own");

  const auto bucket = options.text("bucket"), container = options.text("container");
  if (!bucket.empty() && !container.empty() && bucket != container)
    return fail(errc::invalid_argument, "bucket", "bucket and container are two words for one thing: give one of them");
  p.bucket = !bucket.empty() ? bucket : !container.empty() ? container : "evp";
  CHECK(check_container_name(p.bucket, bucket.empty() ? "container" : "bucket", true));

  // A dot in a bucket's name breaks the vendor's wildcard certificate, so it goes into the path.
  const bool is_amazon = at->host.ends_with(".amazonaws.com");
  const bool dotted = p.bucket.find('.') != p.bucket.npos;
  p.path_style = options.has("pathStyle") ? options.text("pathStyle") == "true" : !is_amazon || dotted;
  if (!p.path_style && at->is_local_or_ip())
    return fail(errc::invalid_argument, "pathStyle", "must be true here: an IP address cannot carry the bucket's name");
  if (!p.path_style) at->host = p.bucket + "." + at->host;
  p.at = std::move(*at);
  return p;
}

/// Keys as the user gave them, checked.
result<auth::aws_credentials> given_keys(const option_values& options) {
  auth::aws_credentials keys{options.text("accessKeyId"), options.get("secretAccessKey"), options.get("sessionToken")};
  const auto is_word = [](const std::string& s) {
    for (const unsigned char c : s)
      if (c <= 0x20 || c >= 0x7f) return false;
    return !s.empty();
  };
  if (!is_word(keys.access_key_id) || keys.access_key_id.find('/') != std::string::npos)
    return fail(errc::invalid_argument, "accessKeyId", "missing, or has white space or '/'");
  if (!is_word(keys.secret_access_key.reveal()))
    return fail(errc::invalid_argument, "secretAccessKey", "missing, or has white space");
  if (!keys.session_token.empty() && !is_word(keys.session_token.reveal()))
    return fail(errc::invalid_argument, "sessionToken", "has white space");
  return keys;
}

/// The token service of the role: Amazon's own, or that of the storage itself (Ceph RGW, MinIO).
result<auth::sts_endpoint> sts_of(const option_values& options, const driver_context& context, const place& where,
                                  const std::string& region, made_driver& made) {
  const auto given = options.text("stsEndpoint");
  const bool amazon = where.at.host.ends_with(".amazonaws.com");
  if (given.empty() && amazon) return auth::sts_endpoint{"https://sts." + region + ".amazonaws.com", region, {}};
  if (given.empty()) {
    auto at = where.at;
    if (!where.path_style) at.host.erase(0, where.bucket.size() + 1);
    return auth::sts_endpoint{at.origin(), region, context.ca_pem};
  }
  auto at = parse_endpoint(given);
  if (!at) return fail(std::move(at.error()).at("stsEndpoint"));
  if (!at->target.empty()) return fail(errc::invalid_argument, "stsEndpoint", "must end after host and port");
  if (at->scheme != "https" && !at->is_local_or_ip())
    return fail(errc::invalid_argument, "stsEndpoint", "must be https: credentials travel there");
  made.others.push_back({"stsEndpoint", at->origin()});
  return auth::sts_endpoint{at->origin(), region, context.ca_pem};
}

/// What the options say about credentials, and nothing that contradicts itself.
result<key_source> keys_of(const option_values& options, const driver_context& context, const place& where,
                           const std::string& region, made_driver& made) {
  const auto web_file = options.text("webIdentityTokenFile");
  auto from = options.text("credentials");
  if (from.empty()) from = web_file.empty() ? "static" : "webIdentity";
  const bool is_static = from == "static", is_web = from == "webIdentity";
  if (!is_static && !is_web && from != "instance" && from != "container")
    return fail(errc::invalid_argument, "credentials", "must be static, instance, container or webIdentity");
  for (const std::string_view field : {"accessKeyId", "secretAccessKey", "sessionToken"})
    if (!is_static && options.has(field))
      return fail(errc::invalid_argument, std::string(field), "is for static credentials only: leave it out");
  if (is_web == web_file.empty())
    return fail(errc::invalid_argument, "webIdentityTokenFile", "goes together with credentials webIdentity");
  for (const std::string_view field : {"externalId", "roleSessionName", "stsEndpoint"})
    if (options.has(field) && !options.has("roleArn"))
      return fail(errc::invalid_argument, "roleArn", fmt::format("is missing: {} says something about a role", field));
  if (is_web && !options.has("roleArn"))
    return fail(errc::invalid_argument, "roleArn", "is missing: which role does the web identity assume?");

  key_source keys;
  if (is_static) {
    TRY(keys.given, given_keys(options));
    if (!keys.given.session_token.empty())
      made.warnings.push_back(
          "sessionToken belongs to temporary credentials: replace the service's credentials before they expire.");
  }
  if (!is_static && !is_web) {
    if (!context.metadata)
      return fail(errc::invalid_argument, "credentials", "this program reaches no metadata service");
    keys.fetched = from == "instance"
                       ? auth::make_aws_instance(*context.metadata)
                       : auth::make_aws_container(*context.metadata, auth::aws_container::from_environment(),
                                                  context.token_folders);
  }
  if (!options.has("roleArn")) return keys;

  auth::aws_role role;
  role.arn = options.text("roleArn");
  role.session = options.has("roleSessionName") ? options.text("roleSessionName") : "openevp";
  role.external_id = options.text("externalId");
  CHECK(auth::check_role(role));
  const auto partition = role.arn.substr(4, role.arn.find(':', 4) - 4);
  role.policy = auth::s3_session_policy(where.bucket, "", partition);
  TRY(auto sts, sts_of(options, context, where, region, made));
  if (is_web) {
    if (auto ok = context.token_folders.check(web_file); !ok)
      return fail(std::move(ok.error()).at("webIdentityTokenFile"));
    keys.fetched = auth::make_assume_role_with_web_identity(context.transport, std::move(sts), std::move(role),
                                                            context.token_folders, web_file);
    return keys;
  }
  auto base = is_static ? auth::make_static_aws(std::exchange(keys.given, {})) : std::move(keys.fetched);
  keys.fetched =
      auth::make_assume_role(context.transport, context.clock, std::move(sts), std::move(role), std::move(base));
  return keys;
}

}  // namespace

std::span<const option_spec> aws_options() { return options_table; }

result<made_driver> make_aws(const option_values& options, const driver_context& context) {
  const auto region = options.has("region") ? options.text("region") : "us-east-1";
  for (const char c : region)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') || region.size() > 64)
      return fail(errc::invalid_argument, "region", "must be a region's name such as eu-central-1");
  TRY(auto where, place_of(options, region));

  made_driver made;
  TRY(auto keys, keys_of(options, context, where, region, made));
  if (auto w = plain_http_warning(where.at); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = where.at.origin();
  made.instance = std::make_unique<aws_driver>(context, std::move(keys), region, std::move(where));
  return made;
}

}  // namespace evp::storage
