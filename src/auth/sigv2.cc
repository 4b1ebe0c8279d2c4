#include "auth/sigv2.h"

#include <algorithm>

#include "base/encoding.h"

namespace evp::auth {
namespace {

// Parameters that change what a request does, and are therefore signed.
// https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0011.html
constexpr std::string_view sub_resources[] = {
    "acl",          "append",      "cors",        "delete",         "encryption",    "lifecycle", "location",
    "logging",      "metadata",    "modify",      "notification",   "partNumber",    "policy",    "position",
    "quota",        "rename",      "replication", "requestPayment", "resourceGroup", "restore",   "security-token",
    "storageClass", "storageinfo", "tagging",     "truncate",       "uploadId",      "uploads",   "versionId",
    "versioning",   "versions",    "website"};

bool is_sub_resource(std::string_view name, const v2_dialect& dialect) {
  return name.starts_with(dialect.prefix) || name.starts_with("response-") ||
         std::find(std::begin(sub_resources), std::end(sub_resources), name) != std::end(sub_resources);
}

}  // namespace

sigv2_signer::sigv2_signer(std::string access_key_id, const secret& secret_access_key, secret session_token,
                           std::string bucket, const v2_dialect& dialect)
    : id_(std::move(access_key_id)),
      key_(hash::sha1, secret_access_key.reveal()),
      token_(std::move(session_token)),
      bucket_(std::move(bucket)),
      dialect_(&dialect) {}

secret sigv2_signer::presign(const signable_request& request, timestamp expires_at) const {
  const auto expires = format_unix_seconds(expires_at);
  auto whole = request;
  if (!token_.empty()) whole.query.emplace_back(dialect_->token, token_.reveal());

  std::string url;
  url.reserve(512);
  url.append(request.scheme).append("://").append(request.authority);
  append_percent_encoded(url, request.path, true);
  url.append("?").append(dialect_->id).append("=");
  append_percent_encoded(url, id_);
  url.append("&Expires=").append(expires);
  for (const auto& [name, value] : whole.query) {
    url += '&';
    append_percent_encoded(url, name);
    if (value.empty()) continue;
    url += '=';
    append_percent_encoded(url, value);
  }
  url += "&Signature=";
  append_percent_encoded(url, signature(whole, expires));
  return secret(std::move(url));
}

std::string sigv2_signer::authorization(const signable_request& request, std::string_view date) const {
  return std::string(dialect_->authorization) + " " + id_ + ":" + signature(request, date);
}

std::string sigv2_signer::signature(const signable_request& request, std::string_view date) const {
  http::headers own;
  for (const auto& f : request.fields)
    if (auto name = to_lower(f.name); name.starts_with(dialect_->prefix))
      own.push_back({std::move(name), std::string(trim(f.value))});
  std::stable_sort(own.begin(), own.end(), [](const auto& a, const auto& b) { return a.name < b.name; });

  std::string to_sign;
  to_sign.reserve(512);
  to_sign.append(request.method).append("\n");
  to_sign.append(trim(http::find(request.fields, "Content-MD5"))).append("\n");
  to_sign.append(trim(http::find(request.fields, "Content-Type"))).append("\n");
  to_sign.append(date).append("\n");
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (i > 0 && own[i - 1].name == own[i].name) {  // several fields of one name: one line
      to_sign.back() = ',';
      to_sign.append(own[i].value).append("\n");
    } else {
      to_sign.append(own[i].name).append(":").append(own[i].value).append("\n");
    }
  }
  to_sign += resource(request);
  return to_base64(key_.sign(to_sign));
}

std::string sigv2_signer::resource(const signable_request& request) const {
  std::string out;
  const auto path = request.signed_path.empty() ? "/" + bucket_ + request.path : request.signed_path;
  if (dialect_->signs_encoded_path)
    append_percent_encoded(out, path, true);
  else
    out = path;

  auto signed_query = request.query;
  std::erase_if(signed_query, [this](const auto& p) { return !is_sub_resource(p.first, *dialect_); });
  std::sort(signed_query.begin(), signed_query.end());
  char separator = '?';
  for (const auto& [name, value] : signed_query) {
    out += separator;
    out += name;
    if (!value.empty()) out.append("=").append(value);
    separator = '&';
  }
  return out;
}

}  // namespace evp::auth
