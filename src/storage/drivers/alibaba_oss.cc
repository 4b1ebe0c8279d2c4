// ALIBABA_OSS: Alibaba Cloud Object Storage Service. Grants are URLs signed with OSS Signature Version 4.
//
// Limits: https://www.alibabacloud.com/help/en/oss/user-guide/limits (one PUT up to 5 GB),
// https://www.alibabacloud.com/help/en/oss/developer-reference/add-signatures-to-urls (604,800 s),
// https://www.alibabacloud.com/help/en/oss/developer-reference/putobject (x-oss-forbid-overwrite)
#include "auth/sigv4.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the service; default https://oss-<region>.aliyuncs.com"},
    {"region", option_spec::kind::text, true, "region such as eu-central-1 (without \"oss-\")"},
    bucket_options::bucket,
    bucket_options::container,
    bucket_options::key_id,
    bucket_options::key,
    bucket_options::token,
    bucket_options::path_style,
};

constexpr bucket_rules rules{
    .caps = {.max_lifetime = seconds(604'800),
             .max_put_bytes = 5'000'000'000,
             .signs_fields = true,
             .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::content_type,
                          bound::create_only},
             .parts = part_limits{.min_bytes = 100 << 10, .max_bytes = 5'000'000'000}},
    .create_only = {"x-oss-forbid-overwrite", "true"},
};

class alibaba_oss_driver final : public bucket_driver {
 public:
  alibaba_oss_driver(const driver_context& context, bucket_place place, bucket_keys keys, std::string region)
      : bucket_driver(context, std::move(place), rules),
        signer_({std::move(keys.id), std::move(keys.key), std::move(keys.token)}, std::move(region), "oss",
                auth::oss4) {}

 protected:
  result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    if (!place().in_path) request.signed_path = "/" + place().bucket + request.path;
    for (const auto& f : request.fields) request.additional_fields.push_back(f.name);  // or they would not be signed
    return signer_.presign(request, now, lifetime);
  }

 private:
  auth::sigv4_signer signer_;
};

}  // namespace

std::span<const option_spec> alibaba_oss_options() { return options_table; }

result<made_driver> make_alibaba_oss(const option_values& options, const driver_context& context) {
  auto region = options.text("region");
  CHECK(check_region(region));
  TRY(auto place, bucket_place_of(options, "https://oss-" + region + ".aliyuncs.com", false));
  TRY(auto keys, bucket_keys_of(options));
  const bool has_token = !keys.token.empty();
  auto driver = std::make_unique<alibaba_oss_driver>(context, place, std::move(keys), std::move(region));
  return made_bucket_driver(std::move(driver), place, has_token);
}

}  // namespace evp::storage
