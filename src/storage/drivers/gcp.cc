// GCP: Google Cloud Storage, through its XML API. Grants are V4 signed URLs, under a service account's RSA key (ours,
// or Google's by way of IAM) or an HMAC key.
//
// Limits: https://cloud.google.com/storage/quotas (one PUT up to 5 TiB),
// https://cloud.google.com/storage/docs/access-control/signed-urls (604,800 s),
// https://cloud.google.com/storage/docs/xml-api/reference-headers (x-goog-content-length-range,
// x-goog-if-generation-match)
#include <charconv>

#include "auth/credentials/metadata.h"
#include "base/encoding.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/gcp_signers.h"
#include "storage/drivers/sealed_id.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the service; default https://storage.googleapis.com"},
    bucket_options::bucket,
    bucket_options::container,
    {"credentials", option_spec::kind::text, false, "static (default), instance or workloadIdentity"},
    {"serviceAccount", option_spec::kind::text, false, "e-mail address of the service account that signs"},
    {"privateKey", option_spec::kind::secret, false, "its RSA key (PEM), \"private_key\" in the key file"},
    {"accessKeyId", option_spec::kind::text, false, "access id of an HMAC key (GOOG1...): signs far faster than RSA"},
    {"secretAccessKey", option_spec::kind::secret, false, "its secret"},
    {"audience", option_spec::kind::text, false, "workload identity provider: //iam.googleapis.com/projects/..."},
    {"subjectTokenFile", option_spec::kind::text, false, "token file of the workload's identity, for that provider"},
    {"impersonate", option_spec::kind::boolean, false,
     "whether the workload becomes serviceAccount before it signs (default), or has IAM sign as it is"},
    {"stsEndpoint", option_spec::kind::url, false, "URL of the token service; default https://sts.googleapis.com"},
    {"iamEndpoint", option_spec::kind::url, false, "URL of IAM; default https://iamcredentials.googleapis.com"},
    bucket_options::path_style,
    {"prefixTokens", option_spec::kind::boolean, false,
     "a grant for a prefix is an access token for it, instead of an upload form; not with credentials static"},
    {"resumable", option_spec::kind::boolean, false,
     "large files go as one stream in a resumable session, instead of in parts of the XML API"},
};

constexpr bucket_rules rules{
    .caps = {.max_lifetime = seconds(604'800),
             .max_put_bytes = 5ULL << 40,
             .signs_fields = true,
             .enforces = {bound::object, bound::prefix, bound::method, bound::expiry, bound::size, bound::max_size,
                          bound::content_type, bound::create_only},
             .by_form = {bound::prefix},  // a POST policy, which bounds the size too
             .parts = part_limits{}},
    .create_only = {"x-goog-if-generation-match", "0"},
    .size_range_field = "x-goog-content-length-range",
};

/// The key with which IAM signs is Google's to change: https://cloud.google.com/sdk/gcloud/reference/storage/sign-url
/// allows 12 hours.
constexpr std::chrono::hours iam_lifetime{12};

/// https://cloud.google.com/storage/docs/performing-resumable-uploads: chunks of a multiple of 256 KiB, one after the
/// other, in a session that lives for a week.
constexpr part_limits session_limits{
    .min_bytes = 256 << 10, .max_parts = 50'000, .multiple_of = 256 << 10, .in_order = true};
constexpr std::string_view session_mark = "upload_id=";
constexpr std::size_t session_id_max = 900;  // sealed it must fit 2 KiB

bucket_rules rules_for(const gcp_signer& signer, bool resumable) {
  auto out = rules;
  if (resumable) out.caps.parts = session_limits;
  if (std::holds_alternative<gcp_iam_signer>(signer)) out.caps.max_lifetime = iam_lifetime;
  return out;
}

class gcp_driver final : public bucket_driver {
 public:
  gcp_driver(const driver_context& context, bucket_place place, gcp_signer signer, bool resumable)
      : bucket_driver(context, std::move(place), rules_for(signer, resumable)),
        transport_(context.transport),
        metadata_(context.metadata),
        ca_pem_(context.ca_pem),
        signer_(std::move(signer)),
        ids_(context),
        resumable_(resumable) {}

  io::task<result<signed_request>> sign(sign_spec spec) override {
    const auto* iam = std::get_if<gcp_iam_signer>(&signer_);
    if (spec.is_prefix && iam && !iam->narrowing_url.empty()) return narrow_token(std::move(spec), *iam);
    return bucket_driver::sign(std::move(spec));
  }

  io::task<result<std::string>> begin_parts(sign_spec spec) override {
    auto beginning = resumable_ ? begin_session(std::move(spec)) : bucket_driver::begin_parts(std::move(spec));
    auto begun = co_await std::move(beginning);
    co_return begun;
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    if (!resumable_) {
      auto signing = bucket_driver::sign_part(std::move(spec), std::move(upload_id), part);
      auto made = co_await std::move(signing);
      co_return made;
    }
    if (is_retired()) co_return fail(retired_error());
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_TRY(const auto s, opened(upload_id, spec.object));
    const auto end = part.offset + part.length;
    signed_request r{.method = "PUT", .url = s.url};
    // Only the last chunk makes the object; any other is answered "go on".
    r.expect = {200, 201};
    if (end != s.total) r.expect = {308};
    r.expires_at = expiry_of(now(), spec.lifetime);
    const auto range = part.length == 0 ? "*" : std::to_string(part.offset) + "-" + std::to_string(end - 1);
    r.fields = {{"Content-Range", "bytes " + range + "/" + std::to_string(s.total)}};
    co_return r;
  }

  /// One part of all bytes that have arrived in a row: a session keeps no chunks apart.
  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override {
    if (!resumable_) {
      auto listing = bucket_driver::list_parts(std::move(object), std::move(upload_id));
      auto listed = co_await std::move(listing);
      co_return listed;
    }
    CO_TRY(const auto s, opened(upload_id, object));
    auto r = session_request("PUT", s);
    r.fields = {{"Content-Range", "bytes */" + std::to_string(s.total)}};
    r.body = std::string();
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    std::vector<stored_part> out;
    if (answer.status == 200 || answer.status == 201) {
      out.push_back({1, s.total, {}});
    } else if (answer.status == 308) {
      CO_TRY(const auto bytes, arrived(http::find(answer.fields, "Range")));
      if (bytes > 0) out.push_back({1, bytes, {}});
    } else if (answer.status == 404 || answer.status == 410 || answer.status == 499) {
      co_return fail(errc::not_found, "the storage has no such session");
    } else {
      co_return fail(error_of_answer(answer, "tell how far an upload is", s3_error_code(answer.body)));
    }
    co_return out;
  }

  /// Nothing is left to do for a session: its last byte has made the object.
  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override {
    if (resumable_) co_return result<void>();
    auto committing = bucket_driver::commit_parts(std::move(spec), std::move(upload_id), std::move(parts));
    auto done = co_await std::move(committing);
    co_return done;
  }

  io::task<result<void>> abort_parts(std::string object, std::string upload_id) override {
    if (!resumable_) {
      auto aborting = bucket_driver::abort_parts(std::move(object), std::move(upload_id));
      auto done = co_await std::move(aborting);
      co_return done;
    }
    CO_TRY(const auto s, opened(upload_id, object));
    auto r = session_request("DELETE", s);
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    // 499 is how Google says that a session has been cancelled.
    const bool gone = answer.status == 499 || answer.status == 204 || answer.status == 404 || answer.status == 410;
    if (gone) co_return result<void>();
    co_return fail(error_of_answer(answer, "drop an upload", s3_error_code(answer.body)));
  }

  std::optional<auth::credential_health> health() const override {
    if (const auto* iam = std::get_if<gcp_iam_signer>(&signer_)) return iam->tokens->health();
    return std::nullopt;
  }
  void retire() override {
    bucket_driver::retire();
    if (const auto* iam = std::get_if<gcp_iam_signer>(&signer_)) iam->tokens->drop();
  }

 protected:
  bool signs_here() const noexcept override { return !std::holds_alternative<gcp_iam_signer>(signer_); }
  result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    request.host = auth::goog4_host(request.sent_host());
    if (const auto* rsa = std::get_if<auth::goog4_signer>(&signer_)) return rsa->presign(request, now, lifetime);
    return std::get<auth::sigv4_signer>(signer_).presign(request, now, lifetime);
  }
  /// A network call for each URL. The signature outlives the token that asked for it, so no grant is cut short.
  io::task<result<secret>> presign_elsewhere(auth::signable_request request, timestamp now, seconds lifetime) override {
    request.host = auth::goog4_host(request.sent_host());
    CO_CHECK(co_await know_account());
    auto& by = std::get<gcp_iam_signer>(signer_);
    const auth::goog4_signer form(by.account, auth::text_signer());
    auto draft = form.draft(request, now, lifetime);
    auto signing = auth::gcp_sign_blob(transport_, by.tokens, by.account, draft.string_to_sign, by.origin);
    CO_TRY(const auto signature, co_await std::move(signing));
    co_return std::move(draft).finish(signature);
  }

  /// https://cloud.google.com/storage/docs/xml-api/post-object-forms
  io::task<result<auth::post_form>> sign_form(auth::post_policy policy, timestamp now, timestamp expires_at) override {
    if (const auto* rsa = std::get_if<auth::goog4_signer>(&signer_))
      co_return auth::sign_post(*rsa, policy, now, expires_at);
    if (const auto* hmac = std::get_if<auth::sigv4_signer>(&signer_))
      co_return auth::sign_goog4_hmac_post(*hmac, policy, now, expires_at);
    CO_CHECK(co_await know_account());
    auto& by = std::get<gcp_iam_signer>(signer_);
    // The form is made around the text that IAM is to sign, and gets its signature afterwards.
    std::string text;
    const auto keep = [&text](std::string_view t) -> result<std::string> {
      text = t;
      return std::string();
    };
    const auth::goog4_signer form(by.account, keep);
    CO_TRY(auto fields, auth::sign_post(form, policy, now, expires_at));
    auto signing = auth::gcp_sign_blob(transport_, by.tokens, by.account, text, by.origin);
    CO_TRY(const auto signature, co_await std::move(signing));
    for (auto& [name, value] : fields)
      if (name == "x-goog-signature") value = secret(to_hex(signature));
    co_return fields;
  }

 private:
  io::task<result<void>> know_account() {
    auto& by = std::get<gcp_iam_signer>(signer_);
    if (!by.account.empty()) co_return result<void>();
    CO_TRY(by.account, co_await auth::gcp_machine_account(*metadata_));
    co_return result<void>();
  }

  /// https://cloud.google.com/iam/docs/downscoping-short-lived-credentials
  io::task<result<signed_request>> narrow_token(sign_spec spec, const gcp_iam_signer& by) {
    if (is_retired()) co_return fail(retired_error());
    CO_CHECK(check_lifetime(spec.lifetime, caps().max_lifetime));
    CO_CHECK(check_fields(spec.fields));
    const bool bounds_more = spec.size || spec.max_size || !spec.sha256.empty() || !spec.content_type.empty() ||
                             !spec.source_address.empty();
    if (spec.op == operation::get || bounds_more)
      co_return fail(errc::unsupported, "an access token for a prefix can only create objects, of any size and type");
    if (spec.portless_host) co_return fail(errc::unsupported, "this device's agent knows no grants for a prefix");
    auth::gcp_boundary boundary{.bucket = place().bucket, .prefix = spec.object, .sts_url = by.narrowing_url};
    const auto narrowed = auth::make_gcp_downscoped(transport_, clock(), by.tokens, std::move(boundary));
    CO_TRY(const auto token, co_await narrowed->fetch());
    if (is_retired()) co_return fail(retired_error());  // meanwhile
    const auto to = request("PUT", "");
    signed_request r{.method = "PUT", .fields = std::move(spec.fields), .expect = {200}};
    r.url = secret(place().at.origin() + to.path + (to.path.ends_with('/') ? "" : "/"));
    r.slot = signed_request::name_slot::url;
    r.fields.push_back({"Authorization", "Bearer " + token.value.reveal()});
    r.expires_at = token.expires_at;
    co_return r;
  }

  struct session {
    secret url;
    std::uint64_t total = 0;  ///< bytes of the whole file
  };

  io::task<result<std::string>> begin_session(sign_spec spec) {
    CO_CHECK(check_fields(spec.fields));
    if (!spec.size) co_return fail(errc::invalid_argument, "size", "is missing: a session needs the file's size");
    auto wanted = request("POST", spec.object);
    wanted.fields = {{"x-goog-resumable", "start"}};
    for (const auto& f : spec.fields)
      if (arrives_unchanged(f.name)) wanted.fields.push_back(f);
    CO_TRY(const auto answer, co_await send(std::move(wanted), "", refusal_max_bytes));
    if (answer.status != 201 && answer.status != 200)
      co_return fail(error_of_answer(answer, "begin an upload", s3_error_code(answer.body)));
    const auto where = std::string(http::find(answer.fields, "Location"));
    const auto mark = where.find(session_mark);
    // From outside: only the id is taken from it, and the session's URL made anew.
    auto id = mark == where.npos ? std::string() : where.substr(mark + session_mark.size());
    id = id.substr(0, id.find('&'));
    if (!is_word(id) || id.size() > session_id_max)
      co_return fail(errc::unavailable, "the storage's session has no usable upload_id");
    co_return ids_.seal(std::to_string(*spec.size) + " " + id, spec.object);
  }

  result<session> opened(const std::string& upload_id, const std::string& object) const {
    TRY(const auto text, ids_.open(upload_id, object));
    const auto space = text.find(' ');
    session s;
    std::from_chars(text.data(), text.data() + std::min(space, text.size()), s.total);
    s.url = secret(place().at.origin() + percent_encode(request("PUT", object).path, true) + "?" +
                   std::string(session_mark) + text.substr(std::min(space, text.size() - 1) + 1));
    return s;
  }

  http::request session_request(std::string method, const session& s) const {
    http::request r;
    r.method = std::move(method);
    r.url = s.url;
    r.ca_pem = ca_pem_;
    return r;
  }

  /// "bytes=0-41" are 42 bytes; no field, none.
  static result<std::uint64_t> arrived(std::string_view range) {
    if (range.empty()) return std::uint64_t(0);
    std::uint64_t last = 0;
    constexpr std::string_view begin = "bytes=0-";
    const auto digits = range.starts_with(begin) ? range.substr(begin.size()) : std::string_view();
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), last);
    if (!digits.empty() && ec == std::errc() && end == digits.data() + digits.size()) return last + 1;
    return fail(errc::data_corrupt, "the storage tells in no usable form how far an upload is");
  }

  http::transport& transport_;
  http::transport* metadata_;  // where the machine's own account signs
  std::string ca_pem_;
  gcp_signer signer_;
  sealed_ids ids_;
  bool resumable_;
};

}  // namespace

std::span<const option_spec> gcp_options() { return options_table; }

result<made_driver> make_gcp(const option_values& options, const driver_context& context) {
  TRY(auto place, bucket_place_of(options, "https://storage.googleapis.com", true));
  made_driver named;
  TRY(auto signer, gcp_signer_of(options, context, named));
  auto driver = std::make_unique<gcp_driver>(context, place, std::move(signer), options.text("resumable") == "true");
  auto made = made_bucket_driver(std::move(driver), place, false);
  made.others = std::move(named.others);
  return made;
}

}  // namespace evp::storage
