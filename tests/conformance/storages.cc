#include "storages.h"

#include "io/files.h"
#include "servers.h"

namespace evp {
namespace {

const std::string wrong_key = "d3Jvbmcga2V5";

std::string connection(const std::string& key) {
  return "AccountName=" + servers::value("AZURITE_ACCOUNT") + ";AccountKey=" + key;
}
std::string no_ca() { return {}; }
std::string azurite_ca() { return io::read_file(servers::value("AZURITE_CA"), 1 << 16).value(); }

std::map<std::string, std::string> azurite_http() {
  return {{"endpoint", servers::value("AZURITE_HTTP")},
          {"connectionString", connection(servers::value("AZURITE_KEY"))}};
}
std::map<std::string, std::string> azurite_https() {
  return {{"endpoint", servers::value("AZURITE_HTTPS")},
          {"connectionString", connection(servers::value("AZURITE_KEY"))}};
}
std::map<std::string, std::string> rgw() {
  return {{"endpoint", servers::value("RGW_HTTP")},
          {"accessKeyId", servers::value("RGW_ACCESS_KEY")},
          {"secretAccessKey", servers::value("RGW_SECRET_KEY")}};
}
std::map<std::string, std::string> nothing() { return {}; }

}  // namespace

const std::vector<storage_setup>& storages() {
  const std::map<std::string, std::string> bad_azure{
      {"connectionString", "AccountName=evptest;AccountKey=" + wrong_key}};
  const std::map<std::string, std::string> bad_aws{{"secretAccessKey", wrong_key}};
  const http::headers blob{{"x-ms-blob-type", "BlockBlob"}};
  const http::headers meta{{"x-amz-meta-fleet", "north  7"}, {"Content-Type", "image/jpeg"}};
  static const std::vector<storage_setup> all = {
      {"AZURE_http", "AZURE", false, azurite_http, no_ca, bad_azure, blob, true},
      {"AZURE_https", "AZURE", false, azurite_https, azurite_ca, bad_azure, {}, true},
      {"AZURE_agent", "AZURE", true, azurite_http, no_ca, bad_azure, {}, true},
      {"AWS_runtime", "AWS", false, rgw, no_ca, bad_aws, meta, true},
      {"AWS_agent", "AWS", true, rgw, no_ca, bad_aws, meta, true},
      {"LOCAL", "LOCAL", false, nothing, no_ca, {}, {}, true},
  };
  return all;
}

}  // namespace evp
