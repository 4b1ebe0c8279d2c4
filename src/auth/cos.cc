#include "auth/cos.h"

#include <algorithm>

#include "base/encoding.h"

namespace evp::auth {
namespace {

/// Names in lower case and encoded, in order; values encoded.
struct listed {
  std::string names;  ///< joined by ';'
  std::string text;   ///< "name=value&..."

  explicit listed(std::vector<std::pair<std::string, std::string>> given) {
    for (auto& [name, value] : given) {
      name = to_lower(percent_encode(name));
      value = percent_encode(value);
    }
    std::sort(given.begin(), given.end());
    for (const auto& [name, value] : given) {
      names.append(names.empty() ? "" : ";").append(name);
      text.append(text.empty() ? "" : "&").append(name).append("=").append(value);
    }
  }
};

}  // namespace

cos_signer::cos_signer(std::string secret_id, const secret& secret_key, secret session_token)
    : id_(std::move(secret_id)), key_(hash::sha1, secret_key.reveal()), token_(std::move(session_token)) {}

secret cos_signer::presign(const signable_request& request, timestamp starts, timestamp expires_at) const {
  std::string url;
  url.reserve(640);
  url.append(request.scheme).append("://").append(request.authority);
  append_percent_encoded(url, request.path, true);
  url += '?';
  for (const auto& [name, value] : request.query) {
    append_percent_encoded(url, name);
    if (!value.empty()) url += '=';
    append_percent_encoded(url, value);
    url += '&';
  }
  url += authorization(request, starts, expires_at);
  if (!token_.empty()) {
    url += "&x-cos-security-token=";
    append_percent_encoded(url, token_.reveal());
  }
  return secret(std::move(url));
}

std::string cos_signer::authorization(const signable_request& request, timestamp starts, timestamp expires_at) const {
  std::vector<std::pair<std::string, std::string>> given;
  given.reserve(request.fields.size());
  for (const auto& f : request.fields) given.emplace_back(f.name, f.value);
  const listed fields(std::move(given)), query(request.query);

  const auto period = format_unix_seconds(starts) + ";" + format_unix_seconds(expires_at);
  std::string what;
  what.reserve(256);
  what.append(to_lower(request.method)).append("\n").append(request.path).append("\n");
  what.append(query.text).append("\n").append(fields.text).append("\n");
  const auto to_sign = "sha1\n" + period + "\n" + to_hex(digest(hash::sha1, what)) + "\n";
  const secret period_key(to_hex(key_.sign(period)));  // used as text
  const auto signature = to_hex(hmac(hash::sha1, period_key.reveal(), to_sign));

  std::string out;
  out.reserve(320);
  out.append("q-sign-algorithm=sha1&q-ak=").append(id_);
  out.append("&q-sign-time=").append(period).append("&q-key-time=").append(period);
  out.append("&q-header-list=").append(fields.names).append("&q-url-param-list=").append(query.names);
  return out.append("&q-signature=").append(signature);
}

}  // namespace evp::auth
