// B2: Backblaze B2 by its native API. For each upload the backend asks for an upload URL with a token of its own, and
// the device POSTs the file there; for each download it asks for an authorization of that one name.
//
// https://www.backblaze.com/docs/cloud-storage-upload-files-with-the-native-api,
// https://www.backblaze.com/apidocs/b2-get-download-authorization (1 s to 7 days),
// https://www.backblaze.com/docs/cloud-storage-files (names, 5 GB in one piece),
// https://www.backblaze.com/docs/cloud-storage-large-files (10,000 parts of 5 MB to 5 GB)
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/encoding.h"
#include "storage/drivers/b2_calls.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"

namespace evp::storage {
namespace {

using auth::json_text;

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the login; default https://api.backblazeb2.com"},
    bucket_options::bucket,
    bucket_options::container,
    {"applicationKeyId", option_spec::kind::text, true, "keyID of an application key"},
    {"applicationKey", option_spec::kind::secret, true, "its applicationKey"},
};

constexpr std::uint64_t gigabyte = 1'000'000'000;
constexpr std::size_t segment_max = 250, name_max = 1024;
constexpr std::size_t info_fields_max = 10;
constexpr std::size_t versions_pages_max = 10;  // of 100 versions of one name, when it is removed
constexpr std::size_t part_urls_max = 256;      // that are remembered
constexpr seconds part_url_shared_for{30};      // one page of parts is signed within that
constexpr std::string_view content_type = "Content-Type", info_prefix = "X-Bz-Info-";
constexpr std::string_view not_verified = "do_not_verify", unverified = "unverified:";

/// Backblaze's own rules for names, beside those that all names obey.
result<void> check_name(std::string_view object, std::string_view key_prefix) {
  if (!object.starts_with(key_prefix))
    return fail(errc::invalid_argument, "objectName",
                "the application key is limited to names with a prefix, and this one begins otherwise");
  std::size_t longest = 0, run = 0;
  for (const char c : object) longest = std::max(longest, run = c == '/' ? 0 : run + 1);
  if (longest <= segment_max && object.size() <= name_max) return {};
  return fail(errc::invalid_argument,
              "the object's name is too long for Backblaze: 250 bytes between slashes, 1024 in all");
}

/// What a service may have devices send beside: Content-Type and X-Bz-Info-*.
result<void> check_file_info(const http::headers& fields) {
  CHECK(check_fields(fields));
  std::size_t infos = 0;
  for (const auto& f : fields) {
    const bool is_info = f.name.size() > info_prefix.size() &&
                         http::same_name(std::string_view(f.name).substr(0, info_prefix.size()), info_prefix);
    if (!is_info && !http::same_name(f.name, content_type))
      return fail(errc::invalid_argument, "headers", "Backblaze takes Content-Type and X-Bz-Info-* only");
    if (is_info && (++infos > info_fields_max || !percent_decode(f.value)))
      return fail(errc::invalid_argument, "headers", "at most 10 X-Bz-Info-* fields, percent-encoded");
  }
  return {};
}

std::string type_of(const http::headers& fields) {
  const auto given = http::find(fields, content_type);
  return given.empty() ? "b2/x-auto" : std::string(given);
}

class b2_driver final : public driver {
 public:
  b2_driver(const driver_context& context, endpoint origin, auth::b2_login login, std::string bucket)
      : transport_(context.transport),
        clock_(context.clock),
        ca_pem_(context.ca_pem),
        calls_(context, std::move(origin), std::move(login), std::move(bucket)) {}

  capabilities caps() const noexcept override {
    // An upload URL lives for 24 hours whatever we would like, and takes any name of the bucket: only that it can do
    // nothing but upload is bound.
    return {.max_lifetime = std::chrono::hours(24),
            .max_put_bytes = 5 * gigabyte,
            .enforces = {bound::method},
            .parts = part_limits{.max_bytes = 5 * gigabyte, .in_order = true}};
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_bounds(spec, caps().enforces));
    const bool is_put = spec.op == operation::put;
    if (is_put && spec.portless_host)
      co_return fail(errc::unsupported, "this device's agent can send PUT only, and Backblaze takes POST");
    if (is_put) CO_CHECK(check_file_info(spec.fields));
    if (retired_) co_return fail(retired_error());
    auto making = is_put ? upload(std::move(spec)) : download(std::move(spec));
    auto made = co_await std::move(making);
    if (retired_) co_return fail(retired_error());
    co_return made;
  }

  io::task<result<void>> prepare() override {
    const auto found = co_await calls_.bucket_id();
    if (found) co_return result<void>();
    if (found.error().code() != errc::not_found) co_return fail(found.error());
    auto made = co_await calls_.make_bucket();
    co_return made;
  }

  io::task<result<void>> put(std::string object, std::string bytes) override {
    sign_spec spec;
    spec.object = std::move(object);
    CO_TRY(auto grant, co_await upload(std::move(spec)));
    http::request r;
    r.method = std::move(grant.method);
    r.url = std::move(grant.url);
    r.fields = std::move(grant.fields);
    r.ca_pem = ca_pem_;
    r.body = std::move(bytes);
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    if (answer.status == 200) co_return result<void>();
    co_return fail(error_of_answer(answer, "store an object", json_error_code(answer.body)));
  }

  io::task<result<object_info>> stat(std::string object) override {
    CO_TRY(const auto answer, co_await calls_.on_object("HEAD", std::move(object), refusal_max_bytes));
    CO_TRY(auto info, info_of_head(answer));
    info.etag = http::find(answer.fields, "X-Bz-File-Id");  // there is no ETag; this names the version
    co_return info;
  }

  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override {
    CO_TRY(auto answer, co_await calls_.on_object("GET", std::move(object), std::max(max_bytes, refusal_max_bytes)));
    co_return within(std::move(answer.body), max_bytes);
  }

  /// All versions: to delete the last one alone would bring back the one before.
  io::task<result<void>> remove(std::string object) override {
    CO_TRY(const auto bucket, co_await calls_.bucket_id());
    for (std::size_t page = 0; page < versions_pages_max; ++page) {
      auto listing = fmt::format(R"({{"bucketId":{0},"prefix":{1},"startFileName":{1},"maxFileCount":100}})",
                                 json_text(bucket), json_text(object));
      CO_TRY(const auto found,
             co_await calls_.call("b2_list_file_versions", std::move(listing), "list an object", "listFiles"));
      std::size_t removed = 0;
      for (const auto& version : found.said.objects("files")) {
        if (version.text_or_empty("fileName") != object) continue;
        CO_TRY(const auto id, version.text("fileId"));
        auto which = fmt::format(R"({{"fileName":{},"fileId":{}}})", json_text(object), json_text(id));
        CO_CHECK(co_await calls_.call("b2_delete_file_version", std::move(which), "remove an object", "deleteFiles"));
        ++removed;
      }
      if (removed == 0) co_return result<void>();
    }
    co_return fail(errc::failed_precondition, "the object has more than 1000 versions: remove them in the console");
  }

  io::task<result<std::string>> begin_parts(sign_spec spec) override {
    CO_CHECK(check_file_info(spec.fields));
    CO_CHECK(check_name(spec.object, ""));
    CO_TRY(const auto bucket, co_await calls_.bucket_id());
    std::string infos;
    for (const auto& f : spec.fields) {
      if (http::same_name(f.name, content_type)) continue;
      infos.append(infos.empty() ? "" : ",").append(json_text(to_lower(f.name.substr(info_prefix.size()))));
      CO_TRY(const auto value, percent_decode(f.value));
      infos.append(":").append(json_text(value));
    }
    auto body = fmt::format(R"({{"bucketId":{},"fileName":{},"contentType":{},"fileInfo":{{{}}}}})", json_text(bucket),
                            json_text(spec.object), json_text(type_of(spec.fields)), infos);
    CO_TRY(const auto begun,
           co_await calls_.call("b2_start_large_file", std::move(body), "begin an upload in parts", "writeFiles"));
    auto id = begun.said.text("fileId");
    co_return id;
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    if (retired_) co_return fail(retired_error());
    CO_TRY(const auto at, co_await part_url(upload_id, part.number));
    if (retired_) co_return fail(retired_error());
    signed_request r{.method = "POST", .url = at.url, .expect = {200}};
    const auto now = clock_.now();
    CO_TRY(const auto life, lifetime_within(spec.lifetime, at.dies, now));
    r.expires_at = expiry_of(now, life);
    r.fields = {{"Authorization", at.token.reveal()},
                {"X-Bz-Part-Number", std::to_string(part.number)},
                {"X-Bz-Content-Sha1", std::string(not_verified)}};
    co_return r;
  }

  io::task<result<std::vector<stored_part>>> list_parts(std::string, std::string upload_id) override {
    std::vector<stored_part> all;
    for (std::int64_t from = 1; from > 0;) {
      auto body =
          fmt::format(R"({{"fileId":{},"startPartNumber":{},"maxPartCount":1000}})", json_text(upload_id), from);
      auto page = co_await calls_.call("b2_list_parts", std::move(body), "list the parts of an upload", "writeFiles");
      if (!page && page.error().code() == errc::failed_precondition)
        co_return fail(errc::not_found, "the storage has no such upload in parts");
      CO_TRY(const auto found, std::move(page));
      for (const auto& p : found.said.objects("parts")) {
        CO_TRY(const auto number, p.integer("partNumber"));
        CO_TRY(const auto size, p.integer("contentLength"));
        CO_TRY(auto sha1, p.text("contentSha1"));
        if (sha1.starts_with(unverified)) sha1.erase(0, unverified.size());
        if (number < from || number > 10'000 || size < 0)
          co_return fail(errc::data_corrupt, "the storage listed parts out of order");
        from = number + 1;
        all.push_back({unsigned(number), std::uint64_t(size), std::move(sha1)});
      }
      const auto next = found.said.integer("nextPartNumber");
      from = next && *next >= from ? *next : 0;
    }
    co_return all;
  }

  io::task<result<void>> commit_parts(sign_spec, std::string upload_id, std::vector<stored_part> parts) override {
    std::string sums;
    for (const auto& p : parts) sums.append(sums.empty() ? "" : ",").append(json_text(p.etag));
    auto body = fmt::format(R"({{"fileId":{},"partSha1Array":[{}]}})", json_text(upload_id), sums);
    CO_CHECK(co_await calls_.call("b2_finish_large_file", std::move(body), "put the parts together", "writeFiles"));
    co_return result<void>();
  }

  io::task<result<void>> abort_parts(std::string, std::string upload_id) override {
    part_urls_.erase(upload_id);
    auto body = fmt::format(R"({{"fileId":{}}})", json_text(upload_id));
    auto done =
        co_await calls_.call("b2_cancel_large_file", std::move(body), "drop the parts of an upload", "writeFiles");
    if (!done && done.error().code() != errc::failed_precondition) co_return fail(std::move(done.error()));
    co_return result<void>();
  }

  std::optional<auth::credential_health> health() const override { return calls_.health(); }

  void retire() override {
    retired_ = true;
    part_urls_.clear();
    calls_.drop();
  }

 private:
  /// An upload URL with its token, as b2_get_upload_url and b2_get_upload_part_url answer.
  struct upload_place {
    secret url, token;
    timestamp dies;
    steady_time fetched_at;
    unsigned last_part = 0;  ///< that it was handed out for
  };

  result<upload_place> read_place(const b2_calls::answer& a) const {
    upload_place out;
    TRY(auto url, a.said.text("uploadUrl"));
    CHECK(calls_.checked(url));
    TRY(auto token, a.said.text("authorizationToken"));
    if (has_control_characters(token)) return fail(errc::unavailable, "Backblaze gave a token that is none");
    out.url = secret(std::move(url));
    out.token = secret(std::move(token));
    out.dies = a.token_dies;
    out.fetched_at = clock_.steady();
    return out;
  }

  io::task<result<signed_request>> upload(sign_spec spec) {
    CO_TRY(const auto with, co_await calls_.account());
    CO_CHECK(check_name(spec.object, with.value.name_prefix));
    CO_TRY(const auto bucket, co_await calls_.bucket_id());
    auto body = fmt::format(R"({{"bucketId":{}}})", json_text(bucket));
    CO_TRY(const auto answer, co_await calls_.call("b2_get_upload_url", std::move(body), "upload", "writeFiles"));
    CO_TRY(const auto at, read_place(answer));
    signed_request r{.method = "POST", .url = at.url, .expect = {200}};
    const auto now = clock_.now();
    CO_TRY(const auto life, lifetime_within(spec.lifetime, at.dies, now));
    r.expires_at = expiry_of(now, life);
    r.fields = {{"Authorization", at.token.reveal()},
                {"X-Bz-File-Name", percent_encode(spec.object, true)},
                {"X-Bz-Content-Sha1", std::string(not_verified)},
                {std::string(content_type), type_of(spec.fields)}};
    for (auto& f : spec.fields)
      if (!http::same_name(f.name, content_type)) r.fields.push_back(std::move(f));
    co_return r;
  }

  io::task<result<signed_request>> download(sign_spec spec) {
    CO_TRY(const auto with, co_await calls_.account());
    CO_CHECK(check_name(spec.object, with.value.name_prefix));
    const auto now = clock_.now();
    CO_TRY(const auto life, lifetime_within(spec.lifetime, with.expires_at, now));
    CO_TRY(const auto bucket, co_await calls_.bucket_id());
    const auto whole = std::chrono::floor<seconds>(life);
    auto body = fmt::format(R"({{"bucketId":{},"fileNamePrefix":{},"validDurationInSeconds":{}}})", json_text(bucket),
                            json_text(spec.object), whole.count());
    CO_TRY(const auto answer, co_await calls_.call("b2_get_download_authorization", std::move(body),
                                                   "authorize a download", "shareFiles"));
    CO_TRY(auto token, answer.said.text("authorizationToken"));
    signed_request r{.method = "GET", .expect = {200}};
    CO_TRY(r.url, calls_.object_url(with.value, spec.object));
    r.fields.push_back({"Authorization", std::move(token)});
    r.expires_at = expiry_of(now, whole);
    co_return r;
  }

  /// One URL takes parts one after the other, so the parts of a page, which a device sends in order, share it. A part
  /// that is asked for again gets another: the first may have been given up by the storage.
  io::task<result<upload_place>> part_url(std::string upload_id, unsigned number) {
    const auto known = part_urls_.find(upload_id);
    if (known != part_urls_.end() && number == known->second.last_part + 1 &&
        clock_.steady() - known->second.fetched_at < part_url_shared_for) {
      known->second.last_part = number;
      co_return known->second;
    }
    auto body = fmt::format(R"({{"fileId":{}}})", json_text(upload_id));
    auto answer = co_await calls_.call("b2_get_upload_part_url", std::move(body), "upload a part", "writeFiles");
    if (!answer && answer.error().code() == errc::failed_precondition)
      co_return fail(errc::not_found, "the storage has no such upload in parts");
    CO_TRY(const auto got, std::move(answer));
    CO_TRY(auto at, read_place(got));
    at.last_part = number;
    if (part_urls_.size() >= part_urls_max) part_urls_.clear();
    part_urls_.insert_or_assign(upload_id, at);
    co_return at;
  }

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  b2_calls calls_;
  std::map<std::string, upload_place> part_urls_;
  bool retired_ = false;
};

}  // namespace

std::span<const option_spec> b2_options() { return options_table; }

result<made_driver> make_b2(const option_values& options, const driver_context& context) {
  TRY(auto place, bucket_place_of(options, "https://api.backblazeb2.com", true));
  if (place.at.scheme != "https" && !place.at.is_local_or_ip())
    return fail(errc::invalid_argument, "endpoint", "must be https: the application key travels there");
  if (place.bucket.size() < 6 || place.bucket.find('.') != std::string::npos || place.bucket.starts_with("b2-"))
    return fail(errc::invalid_argument, options.has("bucket") ? "bucket" : "container",
                "must have 6 to 63 characters a-z 0-9 -, not begin with b2-, and be nobody else's on Backblaze");
  auth::b2_login login{place.at.origin(), options.text("applicationKeyId"), options.get("applicationKey"),
                       context.ca_pem};
  if (!is_word(login.key_id) || login.key_id.find(':') != std::string::npos)
    return fail(errc::invalid_argument, "applicationKeyId", "missing, or has white space or ':'");
  if (!is_word(login.key.reveal()))
    return fail(errc::invalid_argument, "applicationKey", "missing, or has white space");

  made_driver made;
  made.warnings.push_back(
      "An upload URL of Backblaze takes any name in the bucket for 24 hours: limit the application key to a bucket of "
      "its "
      "own.");
  if (auto w = plain_http_warning(place.at); !w.empty()) made.warnings.push_back(std::move(w));
  made.endpoint = place.at.origin();
  made.instance = std::make_unique<b2_driver>(context, std::move(place.at), std::move(login), std::move(place.bucket));
  return made;
}

}  // namespace evp::storage
