#include "storages.h"

#include <cstdlib>

#include "auth/azure_sas.h"
#include "base/encoding.h"
#include "io/files.h"
#include "servers.h"

namespace evp {
namespace {

const std::string wrong_key = "d3Jvbmcga2V5";

std::string connection(const std::string& key) {
  return "AccountName=" + servers::value("AZURITE_ACCOUNT") + ";AccountKey=" + key;
}
/// Fields that a service may want to be sent: one of the vendor's own, and the content's type.
http::headers typed_meta(const char* name) { return {{name, "north"}, {"Content-Type", "image/jpeg"}}; }
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
          {"provider", "ceph"},
          {"accessKeyId", servers::value("RGW_ACCESS_KEY")},
          {"secretAccessKey", servers::value("RGW_SECRET_KEY")}};
}
std::map<std::string, std::string> rgw_role() {
  return {{"endpoint", servers::value("RGW_STS_HTTP")},
          {"provider", "ceph"},
          {"accessKeyId", servers::value("RGW_ACCESS_KEY")},
          {"secretAccessKey", servers::value("RGW_SECRET_KEY")},
          {"roleArn", servers::value("RGW_ROLE_ARN")}};
}
std::map<std::string, std::string> rgw_web_identity() {
  return {{"endpoint", servers::value("RGW_STS_HTTP")},
          {"credentials", "webIdentity"},
          {"webIdentityTokenFile", servers::value("RGW_TOKENS") + "/token"},
          {"roleArn", servers::value("RGW_WEB_ROLE_ARN")}};
}
std::map<std::string, std::string> swift_s3() {
  return {{"endpoint", servers::value("SWIFT_HTTP")},
          {"provider", "openstack-swift"},
          {"accessKeyId", servers::value("SWIFT_USER")},
          {"secretAccessKey", servers::value("SWIFT_KEY")}};
}
std::map<std::string, std::string> azurite_entra() {
  return {{"endpoint", servers::value("AZURITE_HTTPS")},    {"accountName", servers::value("AZURITE_ACCOUNT")},
          {"tenantId", servers::value("ENTRA_TENANT")},     {"clientId", servers::value("ENTRA_CLIENT")},
          {"clientSecret", servers::value("ENTRA_SECRET")}, {"authorityHost", servers::value("ENTRA_HTTPS")}};
}
std::map<std::string, std::string> azurite_sas() {
  auth::azure_account_sas sas;
  sas.resource_types = "co";
  sas.permissions = "rwdc";
  sas.expires = io::system_clock().now() + std::chrono::hours(1);
  const auto signer =
      auth::azure_sas_signer::make(servers::value("AZURITE_ACCOUNT"), secret(servers::value("AZURITE_KEY")));
  return {{"endpoint", servers::value("AZURITE_HTTP")},
          {"accountName", servers::value("AZURITE_ACCOUNT")},
          {"sasToken", signer->sign(sas).query.reveal()}};
}
std::map<std::string, std::string> swift() {
  return {{"authUrl", servers::value("SWIFT_HTTP") + "/auth/v1.0"},
          {"username", servers::value("SWIFT_USER")},
          {"password", servers::value("SWIFT_KEY")},
          {"tempUrlKey", "a key for the container of this run"}};
}
std::map<std::string, std::string> swift_keystone() {
  return {{"authUrl", servers::value("KEYSTONE_URL")},       {"username", servers::value("KEYSTONE_USER")},
          {"password", servers::value("KEYSTONE_PASSWORD")}, {"project", servers::value("KEYSTONE_PROJECT")},
          {"region", servers::value("KEYSTONE_REGION")},     {"tempUrlKey", "a key for the container of this run"}};
}
std::map<std::string, std::string> swift_app_credential() {
  return {{"authUrl", servers::value("KEYSTONE_URL")},
          {"applicationCredentialId", servers::value("KEYSTONE_CREDENTIAL")},
          {"applicationCredentialSecret", servers::value("KEYSTONE_CREDENTIAL_SECRET")},
          {"region", servers::value("KEYSTONE_REGION")},
          {"tempUrlKey", "a key for the container of this run"}};
}
std::map<std::string, std::string> rgw_swift() {
  return {{"authUrl", servers::value("RGW_HTTP") + "/auth/v1.0"},
          {"username", servers::value("RGW_SWIFT_USER")},
          {"password", servers::value("RGW_SWIFT_KEY")},
          {"tempUrlKey", servers::value("RGW_TEMPURL_KEY")},
          {"tempUrlDigest", "sha1"}};
}
std::map<std::string, std::string> nginx_dav() {
  return {{"endpoint", servers::value("NGINX_HTTP") + "/dav"},
          {"authentication", "basic"},
          {"username", servers::value("NGINX_USER")},
          {"password", servers::value("NGINX_PASSWORD")},
          {"webdav", "true"}};
}
std::map<std::string, std::string> nginx_bearer() {
  return {{"endpoint", servers::value("NGINX_HTTP") + "/bearer"},
          {"authentication", "bearer"},
          {"token", servers::value("NGINX_TOKEN")}};
}
std::map<std::string, std::string> nginx_signed() {
  return {{"endpoint", servers::value("NGINX_HTTP") + "/signed"},
          {"authentication", "secureLink"},
          {"linkSecret", servers::value("NGINX_LINK_SECRET")}};
}
std::map<std::string, std::string> webhook() {
  return {{"endpoint", servers::value("WEBHOOK_URL")}, {"webhookSecret", servers::value("WEBHOOK_SECRET")}};
}
std::map<std::string, std::string> nothing() { return {}; }

/// A vendor's double, as doubles/serve.py names it.
std::map<std::string, std::string> keys_of(const std::string& name) {
  return {{"endpoint", servers::value(name + "_HTTP")},
          {"accessKeyId", servers::value(name + "_ID")},
          {"secretAccessKey", servers::value(name + "_KEY")}};
}
std::map<std::string, std::string> with(std::map<std::string, std::string> options, const char* name,
                                        const std::string& value) {
  options[name] = value;
  return options;
}
std::map<std::string, std::string> gcp_hmac() { return keys_of("GCP"); }
std::map<std::string, std::string> gcp_resumable() { return with(gcp_hmac(), "resumable", "true"); }
std::map<std::string, std::string> gcp_rsa() {
  return {{"endpoint", servers::value("GCP_RSA_HTTP")},
          {"serviceAccount", servers::value("GCP_RSA_ID")},
          {"privateKey", io::read_file(servers::value("GCP_RSA_PEM"), 1 << 16).value()}};
}
std::map<std::string, std::string> gcp_iam(std::map<std::string, std::string> more) {
  more["endpoint"] = servers::value("GCP_RSA_HTTP");
  more["iamEndpoint"] = servers::value("GCP_IDENTITY_HTTP");
  return more;
}
std::map<std::string, std::string> gcp_machine() { return gcp_iam({{"credentials", "instance"}}); }
std::map<std::string, std::string> gcp_workload() {
  return gcp_iam({{"credentials", "workloadIdentity"},
                  {"audience", servers::value("GCP_AUDIENCE")},
                  {"subjectTokenFile", servers::value("GCP_TOKEN_FILE")},
                  {"stsEndpoint", servers::value("GCP_IDENTITY_HTTP")},
                  {"serviceAccount", servers::value("GCP_RSA_ID")}});
}
std::map<std::string, std::string> oss() { return with(keys_of("OSS"), "region", "eu-central-1"); }
std::map<std::string, std::string> cos() { return with(keys_of("COS"), "region", "eu-frankfurt"); }
std::map<std::string, std::string> obs() { return with(keys_of("OBS"), "region", "eu-west-0"); }
std::map<std::string, std::string> tos() { return with(keys_of("TOS"), "region", "cn-beijing"); }
std::map<std::string, std::string> bos() { return with(keys_of("BOS"), "region", "bj"); }
std::map<std::string, std::string> qiniu() {
  auto options = keys_of("QINIU");
  options["managementEndpoint"] = options["domain"] = options["endpoint"];
  return options;
}
std::map<std::string, std::string> b2() {
  return {{"endpoint", servers::value("B2_HTTP")},
          {"applicationKeyId", servers::value("B2_ID")},
          {"applicationKey", servers::value("B2_KEY")}};
}
std::map<std::string, std::string> oci() {
  return {{"endpoint", servers::value("OCI_HTTP")},
          {"namespace", servers::value("OCI_NAMESPACE")},
          {"tenancy", servers::value("OCI_TENANCY")},
          {"user", servers::value("OCI_USER")},
          {"fingerprint", servers::value("OCI_FINGERPRINT")},
          {"privateKey", io::read_file(servers::value("OCI_PEM"), 1 << 16).value()}};
}

}  // namespace

const std::vector<storage_setup>& storages() {
  const std::map<std::string, std::string> bad_azure{
      {"connectionString", "AccountName=evptest;AccountKey=" + wrong_key}};
  const std::map<std::string, std::string> bad_aws{{"secretAccessKey", wrong_key}};
  const std::map<std::string, std::string> bad_sas{
      {"sasToken", "sv=2022-11-02&ss=b&srt=co&sp=rwdc&se=2126-01-01T00:00:00Z&sig=" + percent_encode(wrong_key)}};
  const http::headers blob{{"x-ms-blob-type", "BlockBlob"}};
  const http::headers meta{{"x-amz-meta-fleet", "north  7"}, {"Content-Type", "image/jpeg"}};
  static const std::vector<storage_setup> all = {
      {"AZURE_http", "AZURE", false, azurite_http, no_ca, bad_azure, blob, true},
      {"AZURE_https", "AZURE", false, azurite_https, azurite_ca, bad_azure, {}, true},
      {"AZURE_agent", "AZURE", true, azurite_http, no_ca, bad_azure, {}, true},
      {"AWS_runtime", "AWS", false, rgw, no_ca, bad_aws, meta, true},
      {"AWS_agent", "AWS", true, rgw, no_ca, bad_aws, meta, true},
      {"AWS_swift", "AWS", false, swift_s3, no_ca, bad_aws, meta, true},
      {"LOCAL", "LOCAL", false, nothing, no_ca, {}, {}, true},
      // No server can be had of these vendors: strict doubles of our own (doubles/).
      {"GCP_hmac", "GCP", false, gcp_hmac, no_ca, bad_aws, typed_meta("x-goog-meta-fleet"), true},
      {"GCP_rsa",
       "GCP",
       false,
       gcp_rsa,
       no_ca,
       {{"serviceAccount", "stranger@test.iam.gserviceaccount.com"}},
       {},
       true},
      {"GCP_resumable", "GCP", false, gcp_resumable, no_ca, bad_aws, typed_meta("x-goog-meta-fleet"), true},
      {"GCP_machine",
       "GCP",
       false,
       gcp_machine,
       no_ca,
       {{"serviceAccount", "stranger@test.iam.gserviceaccount.com"}},
       typed_meta("x-goog-meta-fleet"),
       true,
       errc::permission_denied},
      {"GCP_workload",
       "GCP",
       false,
       gcp_workload,
       no_ca,
       {{"audience", "//iam.googleapis.com/projects/7/another"}},
       {},
       true,
       errc::permission_denied},
      {"GCP_agent", "GCP", true, gcp_hmac, no_ca, bad_aws, typed_meta("x-goog-meta-fleet"), true},
      {"OSS", "ALIBABA_OSS", false, oss, no_ca, bad_aws, typed_meta("x-oss-meta-fleet"), true},
      {"COS", "TENCENT_COS", false, cos, no_ca, bad_aws, typed_meta("x-cos-meta-fleet"), true},
      {"OBS", "HUAWEI_OBS", false, obs, no_ca, bad_aws, typed_meta("x-obs-meta-fleet"), true},
      {"TOS", "VOLCENGINE_TOS", false, tos, no_ca, bad_aws, typed_meta("x-tos-meta-fleet"), true},
      {"BOS", "BAIDU_BOS", false, bos, no_ca, bad_aws, typed_meta("x-bce-meta-fleet"), true},
      {"QINIU", "QINIU", false, qiniu, no_ca, bad_aws, {}, true},
      {"B2",
       "B2",
       false,
       b2,
       no_ca,
       {{"applicationKey", wrong_key}},
       {{"X-Bz-Info-fleet", "north%207"}, {"Content-Type", "image/jpeg"}},
       true,
       errc::unauthenticated,
       true,
       {"X-Bz-File-Name", "Content-Type", "X-Bz-Info-fleet"}},
      {"OCI", "OCI", false, oci, no_ca, {{"user", "ocid1.user.oc1..stranger"}}, {}, true, errc::unauthenticated, true},
      {"OCI_agent",
       "OCI",
       true,
       oci,
       no_ca,
       {{"user", "ocid1.user.oc1..stranger"}},
       {},
       true,
       errc::unauthenticated,
       true},
      {"AWS_role",
       "AWS",
       false,
       rgw_role,
       no_ca,
       {{"accessKeyId", "EVPWRONG"}},
       meta,
       true,
       errc::permission_denied},  // Ceph's token service calls everything AccessDenied
      {"AWS_web_identity",
       "AWS",
       false,
       rgw_web_identity,
       no_ca,
       {{"roleArn", "arn:aws:iam:::role/fleet"}},  // trusts a user, not the issuer
       meta,
       true,
       errc::permission_denied},
      {"AZURE_entra", "AZURE", false, azurite_entra, azurite_ca, {{"clientSecret", wrong_key}}, {}, true},
      {"AZURE_sas", "AZURE", false, azurite_sas, no_ca, bad_sas, {}, true},
      {"SWIFT_openstack", "SWIFT", false, swift, no_ca, {{"password", wrong_key}}, {}, true},
      {"SWIFT_keystone", "SWIFT", false, swift_keystone, no_ca, {{"password", wrong_key}}, {}, true},
      {"SWIFT_app_credential",
       "SWIFT",
       false,
       swift_app_credential,
       no_ca,
       {{"applicationCredentialSecret", wrong_key}},
       {},
       true},
      {"SWIFT_rgw", "SWIFT", false, rgw_swift, no_ca, {{"password", wrong_key}}, {}, true},
      {"HTTP_dav", "HTTP", false, nginx_dav, no_ca, {{"password", wrong_key}}, {}},
      {"HTTP_bearer", "HTTP", false, nginx_bearer, no_ca, {{"token", wrong_key}}, {}},
      {"HTTP_signed", "HTTP", false, nginx_signed, no_ca, {{"linkSecret", wrong_key + wrong_key}}, {}},
      {"WEBHOOK", "WEBHOOK", false, webhook, no_ca, {{"webhookSecret", wrong_key + wrong_key + wrong_key}}, {}},
  };
  return all;
}

const storage_setup& storage_of(std::string_view name) {
  for (const auto& s : storages())
    if (s.name == name) return s;
  std::abort();
}

}  // namespace evp
