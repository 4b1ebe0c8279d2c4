// QINIU: Qiniu Kodo. An upload is a form with a signed token, so a grant has text around the file's bytes; a download
// is a signed URL on a domain of the bucket.
//
// https://developer.qiniu.com/kodo/1272/form-upload   https://developer.qiniu.com/kodo/1206/put-policy
// https://developer.qiniu.com/kodo/1308/stat   https://developer.qiniu.com/kodo/1257/delete
// https://developer.qiniu.com/kodo/6364/multipartupload-interface (parts, "v2": 1 MiB to 1 GiB, 10,000 of them)
#include "auth/qiniu.h"

#include <charconv>

#include "auth/json_text.h"
#include "base/encoding.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/form.h"
#include "storage/drivers/json_parts.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL for uploads; default https://up-<region>.qiniup.com"},
    {"region", option_spec::kind::text, false, "region of the bucket such as z0 (default), z1, na0, as0"},
    {"managementEndpoint", option_spec::kind::url, false, "URL for stat and delete; default https://rs.qiniuapi.com"},
    {"domain", option_spec::kind::url, false, "URL of the bucket's domain, for downloads; none: uploads only"},
    {"bucket", option_spec::kind::text, false, "bucket for the objects, default evp; must exist"},
    bucket_options::container,
    {"accessKeyId", option_spec::kind::text, true, "AccessKey"},
    {"secretAccessKey", option_spec::kind::secret, true, "SecretKey"},
};

constexpr seconds own_lifetime{300};
constexpr std::string_view content_type = "Content-Type";
constexpr json_part_names part_names{"uploadId", "parts", "partNumber", "size", "etag", ""};

// Statuses of Kodo's own (https://developer.qiniu.com/kodo/3928/error-responses).
constexpr int no_such_object = 612, exists_already = 614, no_such_bucket = 631;

struct place {
  endpoint upload, management;
  std::string domain;  ///< "https://files.example.com", or empty
  std::string bucket;
};

/// The number after "name": in a flat JSON object. Errors: data_corrupt.
result<std::uint64_t> number_in(std::string_view json, std::string_view name) {
  const auto key = "\"" + std::string(name) + "\"";
  auto at = json.find(key);
  if (at != json.npos) at = json.find_first_not_of(" \t\r\n:", at + key.size());
  std::uint64_t value = 0;
  if (at != json.npos && std::from_chars(json.data() + at, json.data() + json.size(), value).ec == std::errc())
    return value;
  return fail(errc::data_corrupt, "the storage told no size of the object");
}

class qiniu_driver final : public driver {
 public:
  qiniu_driver(const driver_context& context, auth::qiniu_signer signer, place where)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        signer_(std::move(signer)),
        where_(std::move(where)) {}

  capabilities caps() const noexcept override {
    return {.sign_get = !where_.domain.empty(),
            .max_lifetime = std::chrono::hours(24 * 7),
            .max_put_bytes = 1ULL << 30,  // https://developer.qiniu.com/kodo/1272/form-upload
            .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::max_size, bound::create_only},
            .parts = part_limits{.min_bytes = 1 << 20, .max_bytes = 1ULL << 30}};
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    if (retired_) co_return fail(retired_error());
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    CO_CHECK(check_bounds(spec, caps().enforces));
    if (spec.op == operation::put && spec.portless_host)
      co_return fail(errc::unsupported, "this device's agent can send no forms, and Kodo takes nothing else");
    signed_request r;
    r.expires_at = expiry_of(clock_.now(), spec.lifetime);
    if (spec.op == operation::get) {
      CO_TRY(r.url, download_url(spec.object, r.expires_at));
      r.method = "GET";
      r.fields = std::move(spec.fields);
      r.expect = {200};
    } else {
      CO_TRY(r, form(spec, r.expires_at));
    }
    co_return r;
  }

  void retire() override { retired_ = true; }

  /// Kodo can only make a bucket through another service and for good: the user does so in the console.
  io::task<result<void>> prepare() override {
    CO_TRY(auto answer, co_await manage("stat", "evp-probe"));
    if (answer.status == 200 || answer.status == no_such_object) co_return result<void>();
    co_return refused(answer, "look into the bucket");
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    sign_spec spec;
    spec.object = std::move(object);
    CO_TRY(auto grant, form(spec, clock_.now() + own_lifetime));
    http::request r;
    r.method = grant.method;
    r.url = std::move(grant.url);
    r.fields = std::move(grant.fields);
    r.ca_pem = ca_pem_;
    r.body = grant.body_prefix.reveal() + bytes + grant.body_suffix.reveal();
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return result<void>();
    co_return refused(answer, "store an object");
  }

  io::task<result<object_info>> stat(std::string object) override {
    CO_TRY(auto answer, co_await manage("stat", object));
    if (answer.status != 200) co_return refused(answer, "describe an object");
    object_info info;
    CO_TRY(info.size, number_in(answer.body, "fsize"));
    info.etag = json_text_in(answer.body, "hash");
    co_return info;
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    http::request r;
    CO_TRY(r.url, download_url(object, clock_.now() + own_lifetime));
    r.ca_pem = ca_pem_;
    r.max_response_bytes = std::max(max_bytes, refusal_max_bytes);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
    co_return refused(answer, "read an object");
  }

  io::task<result<void>> remove(std::string object) override {
    CO_TRY(auto answer, co_await manage("delete", object));
    if (answer.status == 200 || answer.status == no_such_object) co_return result<void>();
    co_return refused(answer, "remove an object");
  }

  // Every request about an upload in parts carries an upload token for the one object, those of devices too: a token
  // permits what a grant for the whole object would.
  io::task<result<std::string>> begin_parts(sign_spec spec) override {
    CO_CHECK(check_fields(spec.fields));
    auto r = about_parts("POST", spec.object, "", own_lifetime);
    r.body = std::string();
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status != 200) co_return refused(answer, "begin an upload in parts");
    co_return json_upload_id(part_names, answer.body);
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    if (retired_) co_return fail(retired_error());
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    auto made = about_parts("PUT", spec.object, "/" + upload_id + "/" + std::to_string(part.number), spec.lifetime);
    signed_request r{.method = std::move(made.method), .url = std::move(made.url), .fields = std::move(made.fields)};
    r.fields.push_back({std::string(content_type), "application/octet-stream"});
    r.expires_at = expiry_of(clock_.now(), spec.lifetime);
    r.expect.push_back(200);
    co_return r;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    s3_part_list all;
    do {
      const auto marker = all.parts.empty() ? 0U : all.parts.back().number;
      const auto tail = "/" + upload_id + (marker > 0 ? "?part-number-marker=" + std::to_string(marker) : "");
      auto r = about_parts("GET", object, tail, own_lifetime);
      r.max_response_bytes = s3_list_max_bytes;
      CO_TRY(auto answer, co_await transport_.send(std::move(r)));
      if (answer.status != 200) co_return refused(answer, "list the parts of an upload");
      CO_CHECK(read_json_parts(part_names, answer.body, all));
      const auto next = number_in(answer.body, "partNumberMarker");  // 0: there are no more
      const bool grew = !all.parts.empty() && all.parts.back().number > marker;
      all.more = grew && next.value_or(0) > 0;
    } while (all.more);
    co_return std::move(all.parts);
  }

  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    auto r = about_parts("POST", spec.object, "/" + upload_id, own_lifetime);
    auto body = json_commit_body(part_names, parts);
    for (const auto& f : spec.fields)
      if (http::same_name(f.name, content_type)) body.insert(1, "\"mimeType\":" + auth::json_quoted(f.value) + ",");
    r.body = std::move(body);
    r.fields.push_back({std::string(content_type), "application/json"});
    r.total_timeout = r.stall_timeout = commit_limit;
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return result<void>();
    co_return refused(answer, "put the parts together");
  }

  io::task<result<void>> abort_parts(std::string object, std::string upload_id) override {
    auto r = about_parts("DELETE", object, "/" + upload_id, own_lifetime);
    CO_TRY(auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200 || answer.status == no_such_object) co_return result<void>();
    co_return refused(answer, "drop the parts of an upload");
  }

 private:
  /// A request about an upload in parts of that object: `tail` follows "/uploads". A token is good for `lifetime`.
  http::request about_parts(std::string method, const std::string& object, const std::string& tail,
                            milliseconds lifetime) const {
    auth::qiniu_put_policy policy{.bucket = where_.bucket, .object = object};
    policy.expires_at = expiry_of(clock_.now(), lifetime);
    http::request r;
    r.method = std::move(method);
    r.url = secret(where_.upload.origin() + "/buckets/" + where_.bucket + "/objects/" + to_base64url_padded(object) +
                   "/uploads" + tail);
    r.fields = {{"Authorization", "UpToken " + signer_.upload_token(policy).reveal()}};
    r.ca_pem = ca_pem_;
    return r;
  }

  /// The request for an upload: a form whose last part is the file. A Content-Type of the service is the file's own.
  result<signed_request> form(const sign_spec& spec, timestamp expires_at) const {
    auth::qiniu_put_policy policy{.bucket = where_.bucket, .object = spec.object, .expires_at = expires_at};
    policy.create_only = spec.create_only;
    policy.most_bytes = spec.size ? spec.size : spec.max_size;
    policy.least_bytes = spec.size;
    std::string type = "application/octet-stream";
    http::headers others;
    for (const auto& f : spec.fields) {
      if (http::same_name(f.name, content_type))
        type = f.value;
      else
        others.push_back(f);
    }
    const auth::post_form fields{{"key", secret(spec.object)}, {"token", signer_.upload_token(policy)}};
    TRY(auto r, form_request(secret(where_.upload.origin() + "/"), fields, false, type));
    r.expires_at = expires_at;
    r.fields.insert(r.fields.end(), others.begin(), others.end());
    return r;
  }

  result<secret> download_url(const std::string& object, timestamp expires_at) const {
    if (where_.domain.empty())
      return fail(errc::unsupported, "domain", "missing: Kodo reads objects on the bucket's own domain only");
    return signer_.download_url(where_.domain + "/" + percent_encode(object, true), expires_at);
  }

  io::task<result<http::response>> manage(std::string_view verb, const std::string& object) const {
    const auto path = "/" + std::string(verb) + "/" + to_base64url_padded(where_.bucket + ":" + object);
    http::request r;
    r.method = "POST";
    r.url = secret(where_.management.origin() + path);
    r.fields = {{"Authorization", signer_.management_authorization(path)},
                {std::string(content_type), "application/x-www-form-urlencoded"}};
    r.body = std::string();
    r.ca_pem = ca_pem_;
    auto answer = co_await transport_.send(std::move(r));
    co_return answer;
  }

  static tl::unexpected<error> refused(const http::response& answer, std::string_view doing) {
    if (answer.status == no_such_object) return fail(errc::not_found, "the storage has no such object");
    if (answer.status == no_such_bucket)
      return fail(errc::not_found, "bucket", "the storage has no such bucket: make it in the console");
    if (answer.status == exists_already) return fail(errc::failed_precondition, "the object exists already");
    return fail(error_of_answer(answer, doing, {}));
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  auth::qiniu_signer signer_;
  place where_;
  bool retired_ = false;
};

result<endpoint> base_url(const option_values& options, std::string_view field, const std::string& otherwise) {
  auto at = parse_endpoint(options.has(field) ? options.text(field) : otherwise);
  if (!at) return fail(std::move(at.error()).at(std::string(field)));
  if (!at->target.empty()) return fail(errc::invalid_argument, std::string(field), "must end after host and port");
  return at;
}

}  // namespace

std::span<const option_spec> qiniu_options() { return options_table; }

result<made_driver> make_qiniu(const option_values& options, const driver_context& context) {
  const auto region = options.has("region") ? options.text("region") : "z0";
  CHECK(check_region(region));
  place p;
  TRY(p.upload, base_url(options, "endpoint", "https://up-" + region + ".qiniup.com"));
  TRY(p.management, base_url(options, "managementEndpoint", "https://rs.qiniuapi.com"));
  if (options.has("domain")) {
    TRY(const auto domain, base_url(options, "domain", ""));
    p.domain = domain.origin();
  }
  p.bucket = options.has("bucket")      ? options.text("bucket")
             : options.has("container") ? options.text("container")
                                        : "evp";
  CHECK(check_container_name(p.bucket, options.has("bucket") ? "bucket" : "container", false));
  TRY(auto keys, bucket_keys_of(options));

  made_driver made;
  if (p.domain.empty())
    made.warnings.push_back(
        "Without domain objects can be uploaded but not read: neither by devices nor by this backend.");
  if (auto w = plain_http_warning(p.upload); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = p.upload.origin();
  made.others.push_back({"managementEndpoint", p.management.origin()});
  if (!p.domain.empty()) made.others.push_back({"domain", p.domain});
  made.instance =
      std::make_unique<qiniu_driver>(context, auth::qiniu_signer(std::move(keys.id), keys.key), std::move(p));
  return made;
}

}  // namespace evp::storage
