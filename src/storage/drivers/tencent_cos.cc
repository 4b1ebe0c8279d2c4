// TENCENT_COS: Tencent Cloud Object Storage. Grants are URLs with COS's own signature, which names the fields it
// covers.
//
// Limits: https://www.tencentcloud.com/document/product/436/14518 (one PUT up to 5 GB),
// https://www.tencentcloud.com/document/product/436/7749 (PUT Object, x-cos-forbid-overwrite)
#include "auth/cos.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the service; default https://cos.<region>.myqcloud.com"},
    {"region", option_spec::kind::text, true, "region such as eu-frankfurt"},
    {"bucket", option_spec::kind::text, false, "bucket with its APPID: fleet-1250000000; made when missing"},
    bucket_options::container,
    {"accessKeyId", option_spec::kind::text, true, "SecretId"},
    {"secretAccessKey", option_spec::kind::secret, true, "SecretKey"},
    bucket_options::token,
    bucket_options::path_style,
};

constexpr bucket_rules rules{
    // COS states no longest life of a signature: ours is that of its neighbours.
    .caps = {.max_lifetime = seconds(604'800),
             .max_put_bytes = 5'000'000'000,
             .signs_fields = true,
             .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::content_type,
                          bound::create_only},
             .parts = part_limits{.min_bytes = 1 << 20, .max_bytes = 5'000'000'000}},
    .create_only = {"x-cos-forbid-overwrite", "true"},
};

class tencent_cos_driver final : public bucket_driver {
 public:
  tencent_cos_driver(const driver_context& context, bucket_place place, bucket_keys keys)
      : bucket_driver(context, std::move(place), rules), signer_(std::move(keys.id), keys.key, std::move(keys.token)) {}

 protected:
  result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    request.fields.push_back({"Host", request.sent_host()});
    return signer_.presign(request, now, now + lifetime);
  }

 private:
  auth::cos_signer signer_;
};

}  // namespace

std::span<const option_spec> tencent_cos_options() { return options_table; }

result<made_driver> make_tencent_cos(const option_values& options, const driver_context& context) {
  CHECK(check_region(options.text("region")));
  if (!options.has("bucket") && !options.has("container"))
    return fail(errc::invalid_argument, "bucket",
                "missing: COS names buckets with the account's APPID, fleet-1250000000");
  TRY(auto place, bucket_place_of(options, "https://cos." + options.text("region") + ".myqcloud.com", false));
  TRY(auto keys, bucket_keys_of(options));
  const bool has_token = !keys.token.empty();
  auto driver = std::make_unique<tencent_cos_driver>(context, place, std::move(keys));
  return made_bucket_driver(std::move(driver), place, has_token);
}

}  // namespace evp::storage
