// AWS: Amazon S3 and every storage that speaks its protocol. Grants are presigned URLs (Signature Version 4).
//
// Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html (one PUT up to 5 GB),
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (parts),
// https://docs.aws.amazon.com/cli/latest/reference/s3/presign.html (604,800 s),
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (If-None-Match, x-amz-content-sha256)
#include <algorithm>
#include <map>

#include "auth/sigv4.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "storage/drivers/aws_bucket_policy.h"
#include "storage/drivers/aws_keys.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/s3_providers.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of an S3 service; default the provider's own, or Amazon's"},
    {"provider", option_spec::kind::text, false,
     "who offers it (amazon, ceph, cloudflare-r2, minio ...), where the endpoint doesn't tell"},
    {"region", option_spec::kind::text, false, "region that signatures name; default the provider's, us-east-1"},
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
    {"sessionPerDevice", option_spec::kind::boolean, false,
     "a session of the role for each device, that can do nothing outside the device's own names; an STS call an hour "
     "each"},
    {"denyOlderSessions", option_spec::kind::boolean, false,
     "a block with vendor=true writes into the bucket's policy that sessions of the role from before are denied"},
    {"webIdentityTokenFile", option_spec::kind::text, false, "token file of the workload's identity, for roleArn"},
    {"stsEndpoint", option_spec::kind::url, false,
     "URL of the token service; default https://sts.<region>.amazonaws.com, or the endpoint where that is another's"},
    {"pathStyle", option_spec::kind::boolean, false,
     "bucket in the path (default but for amazonaws.com), not in the host"},
};

bucket_rules rules_of(const s3_provider& p, const aws_keys& keys) {
  bucket_rules r{.caps = {.max_lifetime = seconds(604'800),
                          .max_put_bytes = 5ULL << 30,
                          .signs_fields = true,
                          .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::content_type},
                          .parts = part_limits{}}};
  if (p.create_only) {
    r.caps.enforces = r.caps.enforces.with(bound::create_only);
    r.create_only = {"If-None-Match", "*"};
  }
  if (p.payload_sha256) {
    r.caps.enforces = r.caps.enforces.with(bound::sha256);
    r.sha256_field = "x-amz-content-sha256";
  }
  if (p.forms == s3_forms::roles_too || (p.forms == s3_forms::own_keys && !keys.fetched)) {
    r.caps.by_form = {bound::max_size, bound::prefix};
    r.caps.enforces = r.caps.enforces.with(bound::max_size).with(bound::prefix);
  }
  if (keys.narrowed) r.caps.enforces = r.caps.enforces.with(bound::source_address);
  return r;
}

constexpr std::size_t sessions_max = 1000;  // of a role, kept at once
constexpr std::uint64_t policy_max_bytes = 64 << 10;

class aws_driver final : public bucket_driver {
 public:
  /// Keys that are given sign by themselves; all else comes from the cache.
  aws_driver(const driver_context& context, bucket_place where, aws_keys keys, std::string region,
             const s3_provider& provider, bool session_per_device, bool denies_older = false)
      : bucket_driver(context, std::move(where), rules_of(provider, keys)),
        context_(context),
        region_(std::move(region)),
        provider_(provider),
        narrowed_(std::move(keys.narrowed)),
        role_arn_(std::move(keys.role_arn)),
        session_per_device_(session_per_device),
        denies_older_(denies_older) {
    if (keys.fetched)
      cache_ = std::make_unique<auth::credential_cache<auth::aws_credentials>>(context.clock, std::move(keys.fetched));
    else
      signer_ = std::make_unique<auth::sigv4_signer>(std::move(keys.given), region_);
  }

  io::task<result<signed_request>> sign(sign_spec spec) override {
    if (!narrowed_) return bucket_driver::sign(std::move(spec));
    return sign_in_session(std::move(spec));
  }

  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override {
    CO_TRY(const auto session, session_for(spec));
    auto signing = session ? session->sign_part(std::move(spec), std::move(upload_id), part)
                           : bucket_driver::sign_part(std::move(spec), std::move(upload_id), part);
    auto made = co_await std::move(signing);
    co_return made;
  }

  std::optional<vendor_lever> lever() const override {
    if (!denies_older_) return std::nullopt;
    return vendor_lever{"s3-deny-older-sessions",
                        "Everything at this bucket that sessions of the role " + role_arn_ +
                            " do or have signed that were issued before: grants of all devices, of every service with "
                            "this role, and what other programs do with it.",
                        milliseconds(0),
                        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html"};
  }

  io::task<result<void>> end_grants() override {
    auto ending = denies_older_ ? end_sessions() : driver::end_grants();
    auto outcome = co_await std::move(ending);
    co_return outcome;
  }

  std::optional<auth::credential_health> health() const override {
    if (!cache_) return std::nullopt;
    return cache_->health();
  }

  void retire() override {
    bucket_driver::retire();
    if (!cache_) return;
    cache_->drop();
    signer_.reset();
    current_ = {};
    for (const auto& [limits, s] : sessions_) s.signer->retire();
  }

 protected:
  bool keys_are_given() const noexcept override { return !cache_; }
  /// One signer for as long as a credential lasts, since it keeps a key of the day.
  io::task<result<timestamp>> credential_end() override {
    if (keys_are_given()) co_return timestamp::max();
    CO_TRY(auto fresh, co_await cache_->get(grant_least));
    if (!signer_ || !(fresh.value == current_.value))
      signer_ = std::make_unique<auth::sigv4_signer>(fresh.value, region_);
    current_ = std::move(fresh);
    co_return current_.expires_at;
  }

  result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    return signer_->presign(request, now, lifetime);
  }

  io::task<result<auth::post_form>> sign_form(auth::post_policy policy, timestamp now, timestamp expires_at) override {
    co_return auth::sign_post(*signer_, policy, now, expires_at);
  }

  /// Signed in its fields, payload included: so the storage checks what it gets.
  io::task<result<http::request>> own_request(auth::signable_request wanted, std::string body) override {
    http::request r;
    r.method = wanted.method;
    r.url = secret(auth::sigv4_signer::url_of(wanted));
    r.fields = signer_->sign_headers(wanted, now(), to_hex(sha256(body)));
    r.fields.insert(r.fields.end(), wanted.fields.begin(), wanted.fields.end());
    if (r.method == "PUT" || r.method == "POST") r.body = std::move(body);
    co_return r;
  }

  /// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html: needed in all regions but us-east-1.
  std::string creation_body() const override {
    if (region_ == "us-east-1" || !provider_.names_region) return {};
    return "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>" +
           region_ + "</LocationConstraint></CreateBucketConfiguration>";
  }

  void refused_with(std::string_view code) override {
    if (cache_ && (code == "ExpiredToken" || code == "InvalidToken" || code == "InvalidAccessKeyId"))
      cache_->reject(current_);
  }

 private:
  io::task<result<signed_request>> sign_in_session(sign_spec spec) {
    CO_TRY(const auto session, session_for(spec));
    if (session) spec.source_address.clear();  // the session is bound to it
    auto signing = session ? session->sign(std::move(spec)) : bucket_driver::sign(std::move(spec));
    auto made = co_await std::move(signing);
    co_return made;
  }

  io::task<result<void>> end_sessions() {
    aws_keys keys;
    aws_session manager;
    manager.manages_policy = true;
    keys.fetched = narrowed_(manager);
    const auto by = std::make_shared<aws_driver>(context_, place(), std::move(keys), region_, provider_, false);
    auto denying = by->deny_older_sessions(role_arn_);
    auto outcome = co_await std::move(denying);
    co_return outcome;
  }

  /// Needs a session that manages the policy. "Before" is by the storage's clock, which issues are dated by too: what
  /// was issued in the same second stays good, or the sessions that come next would not be.
  io::task<result<void>> deny_older_sessions(std::string role_arn) {
    auto wanted = request("GET", "");
    wanted.query = {{"policy", ""}};
    CO_TRY(const auto had, co_await send(wanted, "", policy_max_bytes));
    const bool has_none = had.status == 404 && s3_error_code(had.body) == "NoSuchBucketPolicy";
    if (had.status != 200 && !has_none)
      co_return fail(error_of_answer(had, "read the bucket's policy", s3_error_code(had.body)));
    const auto at = parse_http_date(http::find(had.fields, "Date"));
    CO_TRY(auto policy, with_older_sessions_denied(has_none ? std::string_view() : std::string_view(had.body), role_arn,
                                                   place().bucket, at ? *at : now()));
    wanted.method = "PUT";
    wanted.fields = {{"Content-Type", "application/json"}, {"Content-MD5", to_base64(md5(policy))}};
    CO_TRY(const auto answer, co_await send(std::move(wanted), std::move(policy), refusal_max_bytes));
    if (answer.status == 200 || answer.status == 204) co_return result<void>();
    co_return fail(error_of_answer(answer, "write the bucket's policy", s3_error_code(answer.body)));
  }

  /// The driver whose session may do no more than this grant's device, or come from its address; null: this one will
  /// do.
  result<std::shared_ptr<aws_driver>> session_for(const sign_spec& spec) {
    if (is_retired()) return fail(retired_error());
    if (!narrowed_ || (!session_per_device_ && spec.source_address.empty())) return nullptr;
    aws_session limits;
    limits.source_address = spec.source_address;
    if (session_per_device_) limits.prefix = spec.object.substr(0, spec.object.find('/') + 1);
    if (limits.prefix.find_first_of("*?$") != std::string::npos)
      return fail(errc::invalid_argument, "objectNameTemplate",
                  "with sessionPerDevice names must not begin with a segment that has one of * ? $");
    auto& found = sessions_[limits];
    found.last_use = ++uses_;
    if (found.signer) return found.signer;
    aws_keys keys;
    keys.fetched = narrowed_(limits);
    found.signer = std::make_shared<aws_driver>(context_, place(), std::move(keys), region_, provider_, false);
    const auto made = found.signer;
    if (sessions_.size() > sessions_max)
      sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(), [](const auto& a, const auto& b) {
        return a.second.last_use < b.second.last_use;
      }));
    return made;
  }

  struct session {
    std::shared_ptr<aws_driver> signer;
    std::uint64_t last_use = 0;
  };

  driver_context context_;
  std::string region_;
  const s3_provider& provider_;
  std::function<std::unique_ptr<auth::aws_source>(const aws_session&)> narrowed_;  // null: no role
  std::string role_arn_;                                                           // empty: no role
  bool session_per_device_, denies_older_;
  std::map<aws_session, session> sessions_;
  std::uint64_t uses_ = 0;
  std::unique_ptr<auth::credential_cache<auth::aws_credentials>> cache_;  // null: the keys are given
  auth::expiring<auth::aws_credentials> current_;                         // what signer_ was made of, if fetched
  std::unique_ptr<auth::sigv4_signer> signer_;
};

/// Who offers the storage, as the option says or the endpoint shows.
result<const s3_provider*> provider_of(const option_values& options) {
  std::string host;
  if (options.has("endpoint")) {
    auto at = parse_endpoint(options.text("endpoint"));
    if (!at) return fail(std::move(at.error()).at("endpoint"));
    host = at->host;
  }
  return s3_provider_of(options.text("provider"), host);
}

/// A dot in a bucket's name breaks the provider's wildcard certificate, so it goes into the path.
bool has_dots(const option_values& options) {
  return (options.text("bucket") + options.text("container")).find('.') != std::string::npos;
}

}  // namespace

std::span<const option_spec> aws_options() { return options_table; }

result<made_driver> make_aws(const option_values& options, const driver_context& context) {
  TRY(const auto* provider, provider_of(options));
  auto region = options.has("region") ? options.text("region") : std::string(provider->region);
  if (region.empty())
    return fail(errc::invalid_argument, "region", "is missing: " + std::string(provider->name) + " has no default one");
  CHECK(check_region(region));
  if (!options.has("endpoint") && provider->endpoint.empty())
    return fail(errc::invalid_argument, "endpoint",
                "is missing: " + std::string(provider->name) + " has no endpoint that all its users share");
  TRY(auto place,
      bucket_place_of(options, with_region(provider->endpoint, region), !provider->bucket_hosts || has_dots(options)));
  if (provider->https_only && place.at.scheme != "https")
    return fail(errc::invalid_argument, "endpoint",
                "must be https: " + std::string(provider->name) + " takes nothing else");
  const bool denies_older = options.text("denyOlderSessions") == "true";
  if (denies_older && !provider->issue_times)
    return fail(errc::invalid_argument, "denyOlderSessions",
                std::string(provider->name) + " is not known to look at the time of a session's issue");
  made_driver made;
  TRY(auto keys, aws_keys_of(options, context, place, region, with_region(provider->sts, region), made));
  auto driver = std::make_unique<aws_driver>(context, place, std::move(keys), std::move(region), *provider,
                                             options.text("sessionPerDevice") == "true", denies_older);
  auto out = made_bucket_driver(std::move(driver), place, options.has("sessionToken"));
  out.others = std::move(made.others);
  return out;
}

}  // namespace evp::storage
