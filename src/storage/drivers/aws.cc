// AWS: Amazon S3 and every storage that speaks its protocol. Grants are presigned URLs (Signature Version 4).
//
// Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (one PUT up to 5 GiB),
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html (604,800 s)
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
    {"accessKeyId", option_spec::kind::text, true, "access key id"},
    {"secretAccessKey", option_spec::kind::secret, true, "its secret"},
    {"sessionToken", option_spec::kind::secret, false, "of temporary credentials"},
    {"pathStyle", option_spec::kind::boolean, false,
     "bucket in the path (default but for amazonaws.com), not in the host"},
};

// The public agent builds its request head in 2,176 bytes (docs/protocol.md); the rest is for what it adds itself.
constexpr std::size_t small_head_max = 2000;

// Fields that HTTP stacks and proxies change on the way: sent, but not signed.
constexpr std::string_view unsigned_fields[] = {"User-Agent", "Accept-Encoding", "Accept", "X-Amzn-Trace-Id", "Via"};

struct place {
  endpoint at;
  std::string bucket;
  bool path_style = false;
};

class aws_driver final : public driver {
 public:
  aws_driver(const driver_context& context, auth::aws_credentials credentials, std::string region, place where)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        region_(region),
        signer_(std::move(credentials), std::move(region)),
        where_(std::move(where)) {}

  capabilities caps() const noexcept override {
    return {.sign_get = true,
            .max_lifetime = seconds(604'800),
            .max_put_bytes = 5ULL << 30,
            .signs_fields = true,
            .parts = part_limits{}};
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    const auto now = clock_.now();
    signed_request r{.method = spec.op == operation::put ? "PUT" : "GET", .fields = spec.fields, .expect = {200}};
    auto wanted = request(r.method, "/" + spec.object);
    if (spec.portless_host) wanted.host = where_.at.host;
    for (const auto& f : spec.fields)
      if (is_signed(f.name)) wanted.fields.push_back(f);
    // X-Amz-Date has whole seconds, so a life in whole seconds from there ends no later than asked for.
    const auto lifetime = std::chrono::floor<seconds>(spec.lifetime);
    r.expires_at = std::chrono::floor<seconds>(now) + lifetime;
    r.url = signer_.presign(wanted, now, lifetime);
    if (spec.portless_host) CO_CHECK(check_small_head(r));
    co_return r;
  }

  io::task<result<void>> prepare() override {
    auto look = request("GET", "");
    look.query = {{"list-type", "2"}, {"max-keys", "1"}};
    auto looking = own_request(look, "");
    CO_TRY(auto found, co_await transport_.send(std::move(looking)));
    const auto code = s3_error_code(found.body);
    // A key that may write but not list is welcome: the bucket is there.
    if (found.status == 200 || code == "AccessDenied") co_return result<void>();
    if (found.status != 404) co_return fail(error_of_answer(found, "list the bucket", code));

    auto creation = own_request(request("PUT", ""), location_constraint());
    CO_TRY(auto made, co_await transport_.send(std::move(creation)));
    const auto why = s3_error_code(made.body);
    if (made.status == 200 || why == "BucketAlreadyOwnedByYou") co_return result<void>();
    co_return fail(error_of_answer(made, "create the bucket", why));
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    auto r = own_request(request("PUT", "/" + object), std::move(bytes));
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    auto r = own_request(request("HEAD", "/" + object), "");
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return info_of_head(answer);
    co_return refused(answer, "describe an object");
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    auto r = own_request(request("GET", "/" + object), "");
    r.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    auto r = own_request(request("DELETE", "/" + object), "");
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
      if (is_signed(f.name)) wanted.fields.push_back(f);
    auto r = own_request(wanted, "");
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200) co_return refused(answer, "begin an upload in parts");
    co_return s3_upload_id(answer.body);
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    const auto now = clock_.now();
    auto wanted = parts_request("PUT", spec.object, upload_id);
    wanted.query.emplace_back("partNumber", std::to_string(part.number));
    const auto lifetime = std::chrono::floor<seconds>(spec.lifetime);
    signed_request out{.method = "PUT", .expect = {200}};
    out.expires_at = std::chrono::floor<seconds>(now) + lifetime;
    out.url = signer_.presign(wanted, now, lifetime);
    co_return out;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    s3_part_list all;
    do {
      auto wanted = parts_request("GET", object, upload_id);
      if (!all.parts.empty()) wanted.query.emplace_back("part-number-marker", std::to_string(all.parts.back().number));
      auto r = own_request(wanted, "");
      r.max_response_bytes = s3_list_max_bytes;
      CO_TRY(auto answer, co_await transport_.send(std::move(r)));
      if (answer.status != 200) co_return refused(answer, "list the parts of an upload");
      CO_CHECK(read_s3_parts(answer.body, all));
    } while (all.more);
    co_return std::move(all.parts);
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    auto r = own_request(parts_request("POST", spec.object, upload_id), s3_commit_body(parts));
    r.total_timeout = r.stall_timeout = commit_limit;
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    // The status may be sent before the outcome is known: an error then comes with 200.
    const auto code = s3_error_code(answer.body);
    if (answer.status == 200 && code.empty()) co_return result<void>();
    co_return fail(error_of_answer(answer, "put the parts together", code));
  }

  io::task<result<void>> abort_parts(std::string object, std::string upload_id) override {
    auto r = own_request(parts_request("DELETE", object, upload_id), "");
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 204 || answer.status == 404) co_return result<void>();
    co_return refused(answer, "drop the parts of an upload");
  }

 private:
  static bool is_signed(std::string_view name) {
    for (const auto u : unsigned_fields)
      if (http::same_name(name, u)) return false;
    return true;
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

  /// A request of the backend itself, signed in its fields, payload included.
  http::request own_request(const auth::sigv4_request& wanted, std::string body) const {
    http::request r;
    r.method = wanted.method;
    r.url = secret(auth::sigv4_signer::url_of(wanted));
    r.fields = signer_.sign_headers(wanted, clock_.now(), to_hex(sha256(body)));
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

  result<void> check_small_head(const signed_request& r) const {
    auto size = r.url.size() - where_.at.origin().size();
    for (const auto& f : r.fields) size += f.name.size() + f.value.size() + 4;
    if (size < small_head_max) return {};
    return fail(errc::invalid_argument,
                "the signed request is too long for this device's agent (path, query and headers "
                "together must stay below 2000 bytes): use a shorter object name or credentials "
                "without a session token");
  }

  static tl::unexpected<error> refused(const http::response& answer, std::string_view doing) {
    return fail(error_of_answer(answer, doing, s3_error_code(answer.body)));
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  std::string region_;
  auth::sigv4_signer signer_;
  place where_;
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

}  // namespace

std::span<const option_spec> aws_options() { return options_table; }

result<made_driver> make_aws(const option_values& options, const driver_context& context) {
  const auto region = options.has("region") ? options.text("region") : "us-east-1";
  for (const char c : region)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') || region.size() > 64)
      return fail(errc::invalid_argument, "region", "must be a region's name such as eu-central-1");
  TRY(auto where, place_of(options, region));

  auth::aws_credentials credentials{options.text("accessKeyId"), options.get("secretAccessKey"),
                                    options.get("sessionToken")};
  const auto is_word = [](const std::string& s) {
    for (const unsigned char c : s)
      if (c <= 0x20 || c >= 0x7f) return false;
    return !s.empty();
  };
  if (!is_word(credentials.access_key_id) || credentials.access_key_id.find('/') != std::string::npos)
    return fail(errc::invalid_argument, "accessKeyId", "missing, or has white space or '/'");
  if (!is_word(credentials.secret_access_key.reveal()))
    return fail(errc::invalid_argument, "secretAccessKey", "missing, or has white space");
  if (!credentials.session_token.empty() && !is_word(credentials.session_token.reveal()))
    return fail(errc::invalid_argument, "sessionToken", "has white space");

  made_driver made;
  if (!credentials.session_token.empty())
    made.warnings.push_back(
        "sessionToken belongs to temporary credentials: replace the service's credentials before they expire.");
  if (auto w = plain_http_warning(where.at); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = where.at.origin();
  made.instance = std::make_unique<aws_driver>(context, std::move(credentials), region, std::move(where));
  return made;
}

}  // namespace evp::storage
