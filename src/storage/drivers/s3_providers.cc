#include "storage/drivers/s3_providers.h"

namespace evp::storage {
namespace {

constexpr s3_provider table[] = {
    {.name = "amazon",
     .host_suffix = ".amazonaws.com",
     .endpoint = "https://s3.{region}.amazonaws.com",
     .region = "us-east-1",
     .sts = "https://sts.{region}.amazonaws.com",
     .bucket_hosts = true,
     .names_region = true,
     .create_only = true,
     .issue_times = true,
     .payload_sha256 = true,
     .forms = s3_forms::roles_too,
     .source = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"},
    {.name = "amazon-china",
     .host_suffix = ".amazonaws.com.cn",
     .endpoint = "https://s3.{region}.amazonaws.com.cn",
     .region = "cn-north-1",
     .sts = "https://sts.{region}.amazonaws.com.cn",
     .bucket_hosts = true,
     .names_region = true,
     .create_only = true,
     .issue_times = true,
     .payload_sha256 = true,
     .forms = s3_forms::roles_too,
     .source = "https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-Beijing.html"},
    {.name = "backblaze",
     .host_suffix = ".backblazeb2.com",
     .endpoint = "https://s3.{region}.backblazeb2.com",
     .https_only = true,
     .source = "https://www.backblaze.com/docs/cloud-storage-s3-compatible-api"},
    {.name = "ceph",
     .region = "us-east-1",
     .create_only = true,
     .payload_sha256 = true,
     .forms = s3_forms::own_keys,
     .source = "the conformance suite, on Ceph RGW 16.2"},
    {.name = "cloudflare-r2",
     .host_suffix = ".r2.cloudflarestorage.com",
     .region = "auto",
     .https_only = true,
     .create_only = true,
     .source = "https://developers.cloudflare.com/r2/api/s3/conditional-operations/"},
    {.name = "digitalocean",
     .host_suffix = ".digitaloceanspaces.com",
     .endpoint = "https://{region}.digitaloceanspaces.com",
     .https_only = true,
     .source = "https://docs.digitalocean.com/products/spaces/reference/s3-compatibility/"},
    {.name = "exoscale",
     .host_suffix = ".exo.io",
     .endpoint = "https://sos-{region}.exo.io",
     .https_only = true,
     .source = "https://community.exoscale.com/product/storage/object-storage/"},
    {.name = "garage",
     .region = "garage",
     .source = "https://garagehq.deuxfleurs.fr/documentation/reference-manual/s3-compatibility/"},
    {.name = "google",
     .host_suffix = "storage.googleapis.com",
     .endpoint = "https://storage.googleapis.com",
     .region = "auto",
     .https_only = true,
     .source = "https://cloud.google.com/storage/docs/interoperability"},
    {.name = "hetzner",
     .host_suffix = ".your-objectstorage.com",
     .endpoint = "https://{region}.your-objectstorage.com",
     .https_only = true,
     .source = "https://docs.hetzner.com/storage/object-storage/overview"},
    {.name = "ibm",
     .host_suffix = ".cloud-object-storage.appdomain.cloud",
     .endpoint = "https://s3.{region}.cloud-object-storage.appdomain.cloud",
     .https_only = true,
     .source = "https://cloud.ibm.com/docs/cloud-object-storage?topic=cloud-object-storage-compatibility-api"},
    {.name = "linode",
     .host_suffix = ".linodeobjects.com",
     .endpoint = "https://{region}.linodeobjects.com",
     .https_only = true,
     .source = "https://techdocs.akamai.com/cloud-computing/docs/object-storage"},
    {.name = "minio",
     .region = "us-east-1",
     .forms = s3_forms::own_keys,
     .source = "https://min.io/docs/minio/linux/developers/javascript/API.html#presignedPostPolicy"},
    {.name = "openstack-swift",
     .region = "us-east-1",
     .source = "the conformance suite, on OpenStack Swift 2.30 with s3api"},
    {.name = "oracle",
     .host_suffix = ".oraclecloud.com",
     .https_only = true,
     .source = "https://docs.oracle.com/en-us/iaas/Content/Object/Tasks/s3compatibleapi.htm"},
    {.name = "ovhcloud",
     .host_suffix = ".cloud.ovh.net",
     .endpoint = "https://s3.{region}.io.cloud.ovh.net",
     .https_only = true,
     .source = "https://help.ovhcloud.com/csm/en-public-cloud-storage-s3-compliancy"},
    {.name = "scaleway",
     .host_suffix = ".scw.cloud",
     .endpoint = "https://s3.{region}.scw.cloud",
     .region = "fr-par",
     .https_only = true,
     .source = "https://www.scaleway.com/en/docs/object-storage/api-cli/using-api-call-list/"},
    {.name = "seaweedfs", .region = "us-east-1", .source = "https://github.com/seaweedfs/seaweedfs/wiki/Amazon-S3-API"},
    {.name = "storj",
     .host_suffix = ".storjshare.io",
     .endpoint = "https://gateway.storjshare.io",
     .region = "us-east-1",
     .https_only = true,
     .source = "https://storj.dev/dcs/api/s3/s3-compatibility"},
    {.name = "tigris",
     .host_suffix = ".storage.dev",
     .endpoint = "https://t3.storage.dev",
     .region = "auto",
     .bucket_hosts = true,
     .https_only = true,
     .source = "https://www.tigrisdata.com/docs/api/s3/"},
    {.name = "vultr",
     .host_suffix = ".vultrobjects.com",
     .endpoint = "https://{region}.vultrobjects.com",
     .https_only = true,
     .source = "https://docs.vultr.com/products/cloud-storage/object-storage"},
    {.name = "wasabi",
     .host_suffix = ".wasabisys.com",
     .endpoint = "https://s3.{region}.wasabisys.com",
     .region = "us-east-1",
     .source = "https://docs.wasabi.com/docs/service-urls-for-wasabis-storage-regions"},
    {.name = "other", .region = "us-east-1", .source = "what every S3 has in common"},
};

}  // namespace

std::span<const s3_provider> s3_providers() { return table; }

result<const s3_provider*> s3_provider_of(std::string_view name, std::string_view host) {
  if (name.empty() && host.empty()) return &table[0];
  std::string names;
  for (const auto& p : table) {
    const bool recognised = !p.host_suffix.empty() && host.ends_with(p.host_suffix);
    if (name.empty() ? recognised : p.name == name) return &p;
    names.append(names.empty() ? "" : ", ").append(p.name);
  }
  if (name.empty()) return &table[std::size(table) - 1];
  return fail(errc::invalid_argument, "provider", "unknown provider: use one of " + names);
}

std::string with_region(std::string_view text, std::string_view region) {
  constexpr std::string_view mark = "{region}";
  std::string out(text);
  for (auto at = out.find(mark); at != out.npos; at = out.find(mark, at + region.size()))
    out.replace(at, mark.size(), region);
  return out;
}

}  // namespace evp::storage
