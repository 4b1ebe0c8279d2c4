// GCP: Google Cloud Storage, through its XML API. Grants are V4 signed URLs, under a service account's RSA key or an
// HMAC key.
//
// Limits: https://cloud.google.com/storage/quotas (one PUT up to 5 TiB),
// https://cloud.google.com/storage/docs/access-control/signed-urls (604,800 s),
// https://cloud.google.com/storage/docs/xml-api/reference-headers (x-goog-content-length-range,
// x-goog-if-generation-match)
#include <variant>

#include "auth/goog4.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the service; default https://storage.googleapis.com"},
    bucket_options::bucket,
    bucket_options::container,
    {"serviceAccount", option_spec::kind::text, false, "e-mail address of the service account, with privateKey"},
    {"privateKey", option_spec::kind::secret, false, "its RSA key (PEM), \"private_key\" in the key file"},
    {"accessKeyId", option_spec::kind::text, false, "access id of an HMAC key (GOOG1...): signs far faster than RSA"},
    {"secretAccessKey", option_spec::kind::secret, false, "its secret"},
    bucket_options::path_style,
};

constexpr bucket_rules rules{
    .caps = {.max_lifetime = seconds(604'800),
             .max_put_bytes = 5ULL << 40,
             .signs_fields = true,
             .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::max_size,
                          bound::content_type, bound::create_only},
             .parts = part_limits{}},
    .create_only = {"x-goog-if-generation-match", "0"},
    .size_range_field = "x-goog-content-length-range",
};

using gcp_signer = std::variant<auth::goog4_signer, auth::sigv4_signer>;

class gcp_driver final : public bucket_driver {
 public:
  gcp_driver(const driver_context& context, bucket_place place, gcp_signer signer)
      : bucket_driver(context, std::move(place), rules), signer_(std::move(signer)) {}

 protected:
  io::task<result<secret>> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    request.host = auth::goog4_host(request.sent_host());
    if (const auto* rsa = std::get_if<auth::goog4_signer>(&signer_)) co_return rsa->presign(request, now, lifetime);
    co_return std::get<auth::sigv4_signer>(signer_).presign(request, now, lifetime);
  }

 private:
  gcp_signer signer_;
};

result<gcp_signer> signer_of(const option_values& options) {
  const bool rsa = options.has("serviceAccount") || options.has("privateKey");
  const bool hmac = options.has("accessKeyId") || options.has("secretAccessKey");
  if (rsa && hmac)
    return fail(errc::invalid_argument, "privateKey", "give either serviceAccount and privateKey, or an HMAC key");
  if (hmac) {
    TRY(auto keys, bucket_keys_of(options));
    return auth::make_goog4_hmac_signer(std::move(keys.id), std::move(keys.key));
  }
  const auto account = options.text("serviceAccount");
  if (account.find('@') == account.npos || account.find_first_of(" /\t\r\n") != account.npos || account.size() > 256)
    return fail(
        errc::invalid_argument, "serviceAccount",
        "missing or no e-mail address: copy \"client_email\" from the service account's key file, or give an HMAC key");
  auto key = rsa_private_key::parse(options.get("privateKey"));
  if (!key) return fail(std::move(key.error()).at("privateKey"));
  return auth::goog4_signer(account, std::move(*key));
}

}  // namespace

std::span<const option_spec> gcp_options() { return options_table; }

result<made_driver> make_gcp(const option_values& options, const driver_context& context) {
  TRY(auto place, bucket_place_of(options, "https://storage.googleapis.com", true));
  TRY(auto signer, signer_of(options));
  auto driver = std::make_unique<gcp_driver>(context, place, std::move(signer));
  return made_bucket_driver(std::move(driver), place, false);
}

}  // namespace evp::storage
