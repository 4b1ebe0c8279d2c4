// HUAWEI_OBS: Huawei Cloud Object Storage Service. Grants are URLs with OBS's HMAC-SHA1 signature.
//
// Limits: https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0080.html (one PUT up to 5 GB),
// https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0011.html (URLs)
#include "auth/sigv2.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the service; default https://obs.<region>.myhuaweicloud.com"},
    {"region", option_spec::kind::text, true, "region such as eu-west-0"},
    bucket_options::bucket,
    bucket_options::container,
    bucket_options::key_id,
    bucket_options::key,
    bucket_options::token,
    bucket_options::path_style,
};

constexpr bucket_rules rules{
    // OBS states no longest life of a signature: ours is that of its neighbours. It signs neither size nor other
    // fields.
    .caps = {.max_lifetime = seconds(604'800),
             .max_put_bytes = 5'000'000'000,
             .signs_fields = true,
             .enforces = {bound::object, bound::method, bound::expiry, bound::content_type},
             .parts = part_limits{.min_bytes = 100 << 10, .max_bytes = 5'000'000'000}},
};

class huawei_obs_driver final : public bucket_driver {
 public:
  huawei_obs_driver(const driver_context& context, bucket_place where, bucket_keys keys)
      : bucket_driver(context, std::move(where), rules),
        signer_(std::move(keys.id), keys.key, std::move(keys.token), place().bucket) {}

 protected:
  result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    if (place().in_path) request.signed_path = request.path;
    return signer_.presign(request, now + lifetime);
  }

 private:
  auth::sigv2_signer signer_;
};

}  // namespace

std::span<const option_spec> huawei_obs_options() { return options_table; }

result<made_driver> make_huawei_obs(const option_values& options, const driver_context& context) {
  CHECK(check_region(options.text("region")));
  TRY(auto place, bucket_place_of(options, "https://obs." + options.text("region") + ".myhuaweicloud.com", false));
  TRY(auto keys, bucket_keys_of(options));
  const bool has_token = !keys.token.empty();
  auto driver = std::make_unique<huawei_obs_driver>(context, place, std::move(keys));
  return made_bucket_driver(std::move(driver), place, has_token);
}

}  // namespace evp::storage
