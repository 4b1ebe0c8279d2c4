#include "storage/drivers/bucket.h"

#include <algorithm>

#include "storage/drivers/form.h"
#include "storage/drivers/s3_parts.h"

namespace evp::storage {
namespace {

constexpr seconds own_lifetime{300};  // of the backend's own requests

void set(http::headers& fields, std::string_view name, std::string value) {
  std::erase_if(fields, [&](const auto& f) { return http::same_name(f.name, name); });
  fields.push_back({std::string(name), std::move(value)});
}

}  // namespace

result<bucket_place> bucket_place_of(const option_values& options, std::string_view default_endpoint, bool in_path) {
  bucket_place p;
  auto at = parse_endpoint(options.has("endpoint") ? options.text("endpoint") : default_endpoint);
  if (!at) return fail(std::move(at.error()).at("endpoint"));
  if (!at->target.empty())
    return fail(errc::invalid_argument, "endpoint", "must end after host and port: the bucket has a field of its own");
  const auto bucket = options.text("bucket"), container = options.text("container");
  if (!bucket.empty() && !container.empty() && bucket != container)
    return fail(errc::invalid_argument, "bucket", "bucket and container are two words for one thing: give one of them");
  p.bucket = !bucket.empty() ? bucket : !container.empty() ? container : "evp";
  CHECK(check_container_name(p.bucket, bucket.empty() ? "container" : "bucket", in_path));

  p.in_path = options.has("pathStyle") ? options.text("pathStyle") == "true" : in_path || at->is_local_or_ip();
  if (!p.in_path && at->is_local_or_ip())
    return fail(errc::invalid_argument, "pathStyle", "must be true here: an IP address cannot carry the bucket's name");
  if (!p.in_path) at->host = p.bucket + "." + at->host;
  p.at = std::move(*at);
  return p;
}

result<bucket_keys> bucket_keys_of(const option_values& options) {
  bucket_keys k{options.text("accessKeyId"), options.get("secretAccessKey"), options.get("sessionToken")};
  if (!is_word(k.id) || k.id.find('/') != std::string::npos)
    return fail(errc::invalid_argument, "accessKeyId", "missing, or has white space or '/'");
  if (!is_word(k.key.reveal())) return fail(errc::invalid_argument, "secretAccessKey", "missing, or has white space");
  if (!k.token.empty() && !is_word(k.token.reveal()))
    return fail(errc::invalid_argument, "sessionToken", "has white space");
  return k;
}

result<void> check_region(std::string_view region) {
  const bool ok = !region.empty() && region.size() <= 64 && std::all_of(region.begin(), region.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (ok) return {};
  return fail(errc::invalid_argument, "region", "must be a region's name such as eu-central-1");
}

bucket_driver::bucket_driver(const driver_context& context, bucket_place place, const bucket_rules& rules)
    : transport_(context.transport),
      clock_(context.clock),
      ca_pem_(context.ca_pem),
      place_(std::move(place)),
      rules_(rules) {}

io::task<result<signed_request>> bucket_driver::sign(sign_spec spec) {
  if (retired_) co_return fail(retired_error());
  CO_CHECK(check_lifetime(spec.lifetime, rules_.caps.max_lifetime));
  CO_CHECK(check_fields(spec.fields));
  CO_CHECK(check_bounds(spec, rules_.caps.enforces));
  const bool sized_by_form = spec.max_size && !spec.size && rules_.caps.by_form.has(bound::max_size);
  if (spec.is_prefix || sized_by_form) {
    auto posted = co_await form(std::move(spec));
    co_return posted;
  }
  const bool is_put = spec.op == operation::put;
  signed_request r{.method = is_put ? "PUT" : "GET", .fields = std::move(spec.fields), .expect = {200}};
  std::optional<std::uint64_t> exact_length;
  if (is_put) {
    CO_CHECK(bind_content_type(r.fields, spec.content_type));
    if (!spec.sha256.empty()) set(r.fields, rules_.sha256_field, spec.sha256);
    if (spec.create_only) set(r.fields, rules_.create_only.name, std::string(rules_.create_only.value));
    if (!rules_.size_range_field.empty() && (spec.size || spec.max_size))
      set(r.fields, rules_.size_range_field,
          std::to_string(spec.size.value_or(0)) + "," + std::to_string(spec.size ? *spec.size : *spec.max_size));
    else
      exact_length = spec.size;
    CO_CHECK(check_fields(r.fields));
  }

  auto wanted = request(r.method, spec.object);
  if (spec.portless_host) wanted.host = place_.at.host;
  for (const auto& f : r.fields)
    if (arrives_unchanged(f.name)) wanted.fields.push_back(f);
  if (exact_length) bind_length(wanted, *exact_length);
  // Thousands of grants a second: what needs no waiting is no coroutine of its own.
  auto life = spec.lifetime;
  if (!keys_are_given()) { CO_TRY(life, co_await grant_life(life)); }
  const auto now = clock_.now();
  const auto lifetime = std::chrono::floor<seconds>(life);
  r.expires_at = std::chrono::floor<seconds>(now) + lifetime;
  if (signs_here()) {
    CO_TRY(r.url, presign(std::move(wanted), now, lifetime));
  } else {
    CO_TRY(r.url, co_await presign_elsewhere(std::move(wanted), now, lifetime));
  }
  if (spec.portless_host) CO_CHECK(check_small_head(r));
  co_return r;
}

/// https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
io::task<result<signed_request>> bucket_driver::form(sign_spec spec) {
  if (spec.op == operation::get) co_return fail(errc::unsupported, "a form can only upload");
  if (spec.portless_host) co_return fail(errc::unsupported, "this device's agent can send no forms");
  if (spec.create_only || !spec.sha256.empty() || !spec.source_address.empty())
    co_return fail(errc::unsupported, "a form cannot be bound to a SHA-256, an address, or names that are free");
  CO_CHECK(bind_content_type(spec.fields, spec.content_type));
  auth::post_policy policy{.bucket = place_.bucket};
  (spec.is_prefix ? policy.key_prefix : policy.key) = spec.object;
  if (spec.size || spec.max_size) policy.size_bytes = {spec.size.value_or(0), spec.size ? *spec.size : *spec.max_size};
  http::headers unsigned_fields;
  for (auto& f : spec.fields) {
    if (arrives_unchanged(f.name))
      policy.fields.emplace_back(std::move(f.name), std::move(f.value));
    else
      unsigned_fields.push_back(std::move(f));
  }
  CO_TRY(const auto life, co_await grant_life(spec.lifetime));
  const auto now = clock_.now();
  const auto expires_at = expiry_of(now, life);
  CO_TRY(const auto fields, co_await sign_form(std::move(policy), now, expires_at));
  const auto to = request("POST", "");
  CO_TRY(auto r, form_request(secret(to.scheme + "://" + to.authority + to.path), fields, spec.is_prefix));
  r.expires_at = expires_at;
  r.fields.insert(r.fields.end(), unsigned_fields.begin(), unsigned_fields.end());
  co_return r;
}

io::task<result<auth::post_form>> bucket_driver::sign_form(auth::post_policy, timestamp, timestamp) {
  co_return fail(errc::unsupported, "this storage takes no forms");
}

io::task<result<void>> bucket_driver::prepare() {
  auto look = request("GET", "");
  look.query = {{"max-keys", "1"}};
  CO_TRY(auto found, co_await send(std::move(look), "", refusal_max_bytes));
  const auto code = rules_.error_code(found.body);
  // A key that may write but not list is welcome: the bucket is there.
  if (found.status == 200 || code == "AccessDenied") co_return result<void>();
  if (found.status != 404) co_return refused(found, "list the bucket");

  auto creation = request("PUT", "");
  CO_TRY(auto made, co_await send(std::move(creation), creation_body(), refusal_max_bytes));
  const auto why = rules_.error_code(made.body);
  if (made.status == 200 || made.status == 201 || why == "BucketAlreadyOwnedByYou") co_return result<void>();
  co_return refused(made, "create the bucket");
}

io::task<result<void>> bucket_driver::put(std::string object, std::string bytes) {
  auto wanted = request("PUT", object);
  CO_TRY(auto answer, co_await send(std::move(wanted), std::move(bytes), refusal_max_bytes));
  if (answer.status == 200) co_return result<void>();
  co_return refused(answer, "store an object");
}

io::task<result<object_info>> bucket_driver::stat(std::string object) {
  auto wanted = request("HEAD", object);
  CO_TRY(auto answer, co_await send(std::move(wanted), "", refusal_max_bytes));
  if (answer.status == 200) co_return info_of_head(answer);
  co_return refused(answer, "describe an object");
}

io::task<result<std::string>> bucket_driver::get(std::string object, std::uint64_t max_bytes) {
  auto wanted = request("GET", object);
  CO_TRY(auto answer, co_await send(std::move(wanted), "", std::max(max_bytes, refusal_max_bytes)));
  if (answer.status == 200) co_return within(std::move(answer.body), max_bytes);
  co_return refused(answer, "read an object");
}

io::task<result<void>> bucket_driver::remove(std::string object) {
  auto wanted = request("DELETE", object);
  CO_TRY(auto answer, co_await send(std::move(wanted), "", refusal_max_bytes));
  if (answer.status == 204 || answer.status == 200 || answer.status == 404) co_return result<void>();
  co_return refused(answer, "remove an object");
}

io::task<result<std::string>> bucket_driver::begin_parts(sign_spec spec) {
  CO_CHECK(check_fields(spec.fields));
  CO_TRY(auto wanted, parts_request("POST", spec.object, ""));
  for (const auto& f : spec.fields)
    if (arrives_unchanged(f.name)) wanted.fields.push_back(f);
  CO_TRY(auto answer, co_await send(std::move(wanted), "", refusal_max_bytes));
  if (answer.status != 200) co_return refused(answer, "begin an upload in parts");
  co_return rules_.documents->upload_id(answer.body);
}

io::task<result<signed_request>> bucket_driver::sign_part(sign_spec spec, std::string upload_id, part_place part) {
  if (retired_) co_return fail(retired_error());
  CO_CHECK(check_lifetime(spec.lifetime, rules_.caps.max_lifetime));
  CO_TRY(auto wanted, parts_request("PUT", spec.object, std::move(upload_id)));
  wanted.query.emplace_back("partNumber", std::to_string(part.number));
  if (rules_.caps.enforces.has(bound::size) && rules_.size_range_field.empty()) bind_length(wanted, part.length);
  CO_TRY(const auto life, co_await grant_life(spec.lifetime));
  const auto now = clock_.now();
  const auto lifetime = std::chrono::floor<seconds>(life);
  signed_request r{.method = "PUT", .expect = {200}};
  r.expires_at = std::chrono::floor<seconds>(now) + lifetime;
  CO_TRY(r.url, co_await signed_url(std::move(wanted), now, lifetime));
  co_return r;
}

io::task<result<std::vector<stored_part>>> bucket_driver::list_parts(std::string object, std::string upload_id) {
  s3_part_list all;
  do {
    CO_TRY(auto wanted, parts_request("GET", object, upload_id));
    if (!all.parts.empty())
      wanted.query.emplace_back(rules_.documents->marker, std::to_string(all.parts.back().number));
    CO_TRY(auto answer, co_await send(std::move(wanted), "", s3_list_max_bytes));
    if (answer.status != 200) co_return refused(answer, "list the parts of an upload");
    CO_CHECK(rules_.documents->read_parts(answer.body, all));
  } while (all.more);
  co_return std::move(all.parts);
}

io::task<result<void>> bucket_driver::commit_parts(sign_spec spec, std::string upload_id,
                                                   std::vector<stored_part> parts) {
  CO_TRY(auto wanted, parts_request("POST", spec.object, std::move(upload_id)));
  CO_TRY(auto answer,
         co_await send(std::move(wanted), rules_.documents->commit_body(parts), refusal_max_bytes, commit_limit));
  // The status may be sent before the outcome is known: an error then comes with 200.
  const auto code = rules_.error_code(answer.body);
  if (answer.status == 200 && code.empty()) co_return result<void>();
  co_return fail(error_of_answer(answer, "put the parts together", code));
}

io::task<result<void>> bucket_driver::abort_parts(std::string object, std::string upload_id) {
  CO_TRY(auto wanted, parts_request("DELETE", object, std::move(upload_id)));
  CO_TRY(auto answer, co_await send(std::move(wanted), "", refusal_max_bytes));
  if (answer.status == 204 || answer.status == 404) co_return result<void>();
  co_return refused(answer, "drop the parts of an upload");
}

result<auth::signable_request> bucket_driver::parts_request(std::string method, std::string_view object,
                                                            std::string upload_id) const {
  if (!rules_.caps.parts) return fail(errc::unsupported, "this storage takes no uploads in parts");
  auto r = request(std::move(method), object);
  if (upload_id.empty())
    r.query = {{"uploads", ""}};
  else
    r.query = {{"uploadId", std::move(upload_id)}};
  return r;
}

void bucket_driver::bind_length(auth::signable_request& wanted, std::uint64_t bytes) const {
  wanted.fields.push_back({"Content-Length", std::to_string(bytes)});
  wanted.additional_fields.push_back("Content-Length");
}

auth::signable_request bucket_driver::request(std::string method, std::string_view object) const {
  auth::signable_request r;
  r.method = std::move(method);
  r.scheme = place_.at.scheme;
  r.authority = place_.at.authority();
  r.path.clear();
  r.path.reserve(place_.bucket.size() + object.size() + 2);
  if (place_.in_path) r.path.append("/").append(place_.bucket);
  if (!object.empty() || !place_.in_path) r.path.append("/").append(object);
  return r;
}

io::task<result<http::response>> bucket_driver::send(auth::signable_request wanted, std::string body,
                                                     std::uint64_t max_bytes, milliseconds patience) {
  CO_CHECK(co_await credential_end());
  CO_TRY(auto r, co_await own_request(std::move(wanted), std::move(body)));
  r.ca_pem = ca_pem_;
  r.max_response_bytes = max_bytes;
  if (patience > milliseconds(0)) r.total_timeout = r.stall_timeout = patience;
  auto answer = co_await transport_.send(std::move(r));
  co_return answer;
}

io::task<result<http::request>> bucket_driver::own_request(auth::signable_request wanted, std::string body) {
  http::request r;
  r.method = wanted.method;
  r.fields = wanted.fields;
  if (r.method == "PUT" || r.method == "POST") r.body = std::move(body);
  CO_TRY(r.url, co_await signed_url(std::move(wanted), clock_.now(), own_lifetime));
  co_return r;
}

io::task<result<secret>> bucket_driver::signed_url(auth::signable_request request, timestamp now, seconds lifetime) {
  if (signs_here()) co_return presign(std::move(request), now, lifetime);
  auto made = co_await presign_elsewhere(std::move(request), now, lifetime);
  co_return made;
}

io::task<result<secret>> bucket_driver::presign_elsewhere(auth::signable_request, timestamp, seconds) {
  co_return fail(errc::internal, "nobody else signs for this storage");
}

io::task<result<milliseconds>> bucket_driver::grant_life(milliseconds wanted) {
  CO_TRY(const auto dies, co_await credential_end());
  if (retired_) co_return fail(retired_error());  // meanwhile
  co_return lifetime_within(wanted, dies, clock_.now());
}

tl::unexpected<error> bucket_driver::refused(const http::response& answer, std::string_view doing) {
  const auto code = rules_.error_code(answer.body);
  refused_with(code);
  return fail(error_of_answer(answer, doing, code));
}

made_driver made_bucket_driver(std::unique_ptr<bucket_driver> driver, const bucket_place& place, bool has_token) {
  made_driver made;
  if (has_token)
    made.warnings.push_back(
        "sessionToken belongs to temporary credentials: replace the service's credentials before they expire.");
  if (auto w = plain_http_warning(place.at); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = place.at.origin();
  made.instance = std::move(driver);
  return made;
}

}  // namespace evp::storage
