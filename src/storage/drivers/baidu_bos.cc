// BAIDU_BOS: Baidu Object Storage. Grants are URLs signed with bce-auth-v1.
//
// Limits: https://cloud.baidu.com/doc/BOS/s/Ekc4epj6m (PutObject: up to 5 GB),
// https://cloud.baidu.com/doc/Reference/s/njwvz1yfu
#include "auth/bos.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/json_parts.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the service; default https://<region>.bcebos.com"},
    {"region", option_spec::kind::text, true, "region such as bj"},
    bucket_options::bucket,
    bucket_options::container,
    bucket_options::key_id,
    bucket_options::key,
    bucket_options::token,
    bucket_options::path_style,
};

// https://intl.cloud.baidu.com/en/doc/BOS/s/Xkc5w5jmm-intl-en (ListParts), .../Nkc5vzayc-en (CompleteMultipartUpload)
constexpr json_part_names part_names{"uploadId", "parts", "partNumber", "size", "eTag", "isTruncated"};
constexpr part_documents documents = json_documents<part_names>("partNumberMarker");

constexpr bucket_rules rules{
    // BOS states no longest life of a signature: ours is that of its neighbours.
    .caps = {.max_lifetime = seconds(604'800),
             .max_put_bytes = 5'000'000'000,
             .signs_fields = true,
             .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::content_type},
             .parts = part_limits{.max_bytes = 4ULL << 30, .multiple_of = 1 << 20}},
    .documents = &documents,
    .error_code = json_error_code,
};

class baidu_bos_driver final : public bucket_driver {
 public:
  baidu_bos_driver(const driver_context& context, bucket_place place, bucket_keys keys)
      : bucket_driver(context, std::move(place), rules), signer_(std::move(keys.id), keys.key, std::move(keys.token)) {}

 protected:
  result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    return signer_.presign(request, now, lifetime);
  }

 private:
  auth::bos_signer signer_;
};

}  // namespace

std::span<const option_spec> baidu_bos_options() { return options_table; }

result<made_driver> make_baidu_bos(const option_values& options, const driver_context& context) {
  CHECK(check_region(options.text("region")));
  TRY(auto place, bucket_place_of(options, "https://" + options.text("region") + ".bcebos.com", false));
  TRY(auto keys, bucket_keys_of(options));
  const bool has_token = !keys.token.empty();
  auto driver = std::make_unique<baidu_bos_driver>(context, place, std::move(keys));
  return made_bucket_driver(std::move(driver), place, has_token);
}

}  // namespace evp::storage
