// The common part of the drivers of storages that are buckets behind signed URLs: everything but the signature, which
// each vendor makes its own way. The backend's own requests use such URLs too, so a vendor's driver needs no second
// scheme.
#pragma once

#include "auth/post_policy.h"
#include "auth/request.h"
#include "storage/drivers/requests.h"
#include "storage/drivers/s3_parts.h"

namespace evp::storage {

/// A field that is sent and signed, to bound a grant.
struct bound_field {
  std::string_view name, value;
};

/// What differs between vendors beside the signature.
struct bucket_rules {
  capabilities caps;
  /// Where caps.enforces has create_only; value "true" or the like.
  bound_field create_only;
  /// Where caps.enforces has sha256: the field that names the payload's digest.
  std::string_view sha256_field;
  /// Where caps.enforces has max_size and size: the field that names the least and the most bytes. Empty: size is bound
  /// by signing Content-Length, where caps.enforces has it.
  std::string_view size_range_field;
  /// How the vendor speaks of uploads in parts; only where caps.parts says that it takes some.
  const part_documents* documents = &s3_documents;
  /// The vendor's name of an error, from the answer's body.
  std::string (*error_code)(std::string_view body) = s3_error_code;
};

/// Where the bucket is.
struct bucket_place {
  endpoint at;  ///< the host holds the bucket's name, unless in_path
  std::string bucket;
  bool in_path = false;
};

/// Options that all these drivers have, for their tables.
namespace bucket_options {
inline constexpr option_spec bucket{"bucket", option_spec::kind::text, false,
                                    "bucket for the objects, default evp; made when missing"};
inline constexpr option_spec container{"container", option_spec::kind::text, false, "another word for bucket"};
inline constexpr option_spec key_id{"accessKeyId", option_spec::kind::text, true, "access key id"};
inline constexpr option_spec key{"secretAccessKey", option_spec::kind::secret, true, "its secret"};
inline constexpr option_spec token{"sessionToken", option_spec::kind::secret, false, "of temporary credentials"};
inline constexpr option_spec path_style{"pathStyle", option_spec::kind::boolean, false,
                                        "bucket in the path instead of the host; needed for an IP address"};
}  // namespace bucket_options

/// Reads endpoint (or takes the default), bucket or container, and pathStyle. `in_path` is the default of pathStyle;
/// with it a bucket's name may have dots. Errors: invalid_argument at the field.
result<bucket_place> bucket_place_of(const option_values& options, std::string_view default_endpoint, bool in_path);

/// Keys as nearly all of these vendors have them.
struct bucket_keys {
  std::string id;
  secret key, token;
};
/// Reads accessKeyId, secretAccessKey and sessionToken. Errors: invalid_argument at the field.
result<bucket_keys> bucket_keys_of(const option_values& options);

/// Checks a region's name ("eu-central-1"). Errors: invalid_argument at "region".
result<void> check_region(std::string_view region);

class bucket_driver : public driver {
 public:
  bucket_driver(const driver_context& context, bucket_place place, const bucket_rules& rules);

  capabilities caps() const noexcept override { return rules_.caps; }
  io::task<result<signed_request>> sign(sign_spec spec) override;
  io::task<result<void>> prepare() override;
  io::task<result<void>> put(std::string object, std::string bytes) override;
  io::task<result<object_info>> stat(std::string object) override;
  io::task<result<std::string>> get(std::string object, std::uint64_t max_bytes) override;
  io::task<result<void>> remove(std::string object) override;

  // The requests of S3, which these vendors took over; only where rules.caps.parts says so.
  io::task<result<std::string>> begin_parts(sign_spec spec) override;
  io::task<result<signed_request>> sign_part(sign_spec spec, std::string upload_id, part_place part) override;
  io::task<result<std::vector<stored_part>>> list_parts(std::string object, std::string upload_id) override;
  io::task<result<void>> commit_parts(sign_spec spec, std::string upload_id, std::vector<stored_part> parts) override;
  io::task<result<void>> abort_parts(std::string object, std::string upload_id) override;
  void retire() override { retired_ = true; }

 protected:
  /// The user's keys, which never end: credential_end() need not be awaited.
  virtual bool keys_are_given() const noexcept { return true; }
  /// Makes sure that there is a credential to sign with, and tells when it dies. What is signed before the next
  /// suspension is signed with that one.
  virtual io::task<result<timestamp>> credential_end() { co_return timestamp::max(); }
  /// The vendor's own: a URL for this request that is good from `now` for `lifetime`. request.path holds the bucket
  /// where it is in the path; Content-Length is among request.fields where it is to be bound.
  virtual result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) = 0;
  /// Where not signs_here(): the same, by somebody who has the key.
  virtual bool signs_here() const noexcept { return true; }
  virtual io::task<result<secret>> presign_elsewhere(auth::signable_request request, timestamp now, seconds lifetime);

  /// A request of the backend itself: with a presigned URL, unless the vendor wants it otherwise.
  virtual io::task<result<http::request>> own_request(auth::signable_request wanted, std::string body);
  /// The body that makes the bucket.
  virtual std::string creation_body() const { return {}; }
  /// The storage refused a request of the backend's with that error of its own.
  virtual void refused_with(std::string_view /*code*/) {}

  /// The fields of a form with that policy; only where rules.caps.by_form says so.
  virtual io::task<result<auth::post_form>> sign_form(auth::post_policy policy, timestamp now, timestamp expires_at);

  /// A request of an object, or with an empty name of the bucket; not signed yet.
  auth::signable_request request(std::string method, std::string_view object) const;
  /// Sends a request of the backend's own, with at most max_bytes of answer; `patience` 0: the transport's. Errors: as
  /// prepare.
  io::task<result<http::response>> send(auth::signable_request wanted, std::string body, std::uint64_t max_bytes,
                                        milliseconds patience = {});

  const bucket_place& place() const noexcept { return place_; }
  bool is_retired() const noexcept { return retired_; }
  timestamp now() const { return clock_.now(); }
  const io::clock& clock() const noexcept { return clock_; }

 private:
  /// When a grant that is wanted for so long can end: no later than the credential that signs it. Errors: as sign.
  io::task<result<milliseconds>> grant_life(milliseconds wanted);
  io::task<result<secret>> signed_url(auth::signable_request request, timestamp now, seconds lifetime);
  io::task<result<signed_request>> form(sign_spec spec);
  /// A request about an upload in parts. Errors: unsupported (the vendor takes none).
  result<auth::signable_request> parts_request(std::string method, std::string_view object,
                                               std::string upload_id) const;
  void bind_length(auth::signable_request& wanted, std::uint64_t bytes) const;
  tl::unexpected<error> refused(const http::response& answer, std::string_view doing);

  http::transport& transport_;
  const io::clock& clock_;
  std::string ca_pem_;
  bucket_place place_;
  bucket_rules rules_;
  bool retired_ = false;
};

/// The warnings that all these drivers give, and the endpoint.
made_driver made_bucket_driver(std::unique_ptr<bucket_driver> driver, const bucket_place& place, bool has_token);

}  // namespace evp::storage
