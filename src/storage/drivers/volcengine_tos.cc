// VOLCENGINE_TOS: Volcengine Torch Object Storage. Grants are URLs signed with TOS4, its dialect of Signature
// Version 4.
//
// Limits: https://www.volcengine.com/docs/6349/132396 (one PUT up to 5 GiB), https://www.volcengine.com/docs/6349/74839
// (URLs), https://www.volcengine.com/docs/6349/74862 (PutObject, X-Tos-Forbid-Overwrite)
#include "auth/sigv4.h"
#include "storage/drivers/bucket.h"
#include "storage/drivers/drivers.h"
#include "storage/drivers/json_parts.h"

namespace evp::storage {
namespace {

constexpr option_spec options_table[] = {
    {"endpoint", option_spec::kind::url, false, "URL of the service; default https://tos-<region>.volces.com"},
    {"region", option_spec::kind::text, true, "region such as cn-beijing"},
    bucket_options::bucket,
    bucket_options::container,
    bucket_options::key_id,
    bucket_options::key,
    bucket_options::token,
    bucket_options::path_style,
};

// https://docs.byteplus.com/en/docs/tos/reference-listparts, .../reference-completemultipartupload
constexpr json_part_names part_names{"UploadId", "Parts", "PartNumber", "Size", "ETag", "IsTruncated"};
constexpr part_documents documents = json_documents<part_names>("part-number-marker");

constexpr bucket_rules rules{
    .caps = {.max_lifetime = seconds(604'800),
             .max_put_bytes = 5ULL << 30,
             .signs_fields = true,
             .enforces = {bound::object, bound::method, bound::expiry, bound::size, bound::content_type,
                          bound::create_only},
             .parts = part_limits{}},
    .create_only = {"X-Tos-Forbid-Overwrite", "true"},
    .documents = &documents,
    .error_code = json_error_code,
};

class volcengine_tos_driver final : public bucket_driver {
 public:
  volcengine_tos_driver(const driver_context& context, bucket_place place, bucket_keys keys, std::string region)
      : bucket_driver(context, std::move(place), rules),
        signer_({std::move(keys.id), std::move(keys.key), std::move(keys.token)}, std::move(region), "tos",
                auth::tos4) {}

 protected:
  result<secret> presign(auth::signable_request request, timestamp now, seconds lifetime) override {
    return signer_.presign(request, now, lifetime);
  }

 private:
  auth::sigv4_signer signer_;
};

}  // namespace

std::span<const option_spec> volcengine_tos_options() { return options_table; }

result<made_driver> make_volcengine_tos(const option_values& options, const driver_context& context) {
  auto region = options.text("region");
  CHECK(check_region(region));
  TRY(auto place, bucket_place_of(options, "https://tos-" + region + ".volces.com", false));
  TRY(auto keys, bucket_keys_of(options));
  const bool has_token = !keys.token.empty();
  auto driver = std::make_unique<volcengine_tos_driver>(context, place, std::move(keys), std::move(region));
  return made_bucket_driver(std::move(driver), place, has_token);
}

}  // namespace evp::storage
