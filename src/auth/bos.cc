#include "auth/bos.h"

#include <algorithm>

#include "base/encoding.h"

namespace evp::auth {
namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

/// Encoded "name=value" or "name:value", in order: as the vendor's SDK does, the whole texts are compared.
std::vector<std::string> sorted(const pairs& given, char between) {
  std::vector<std::string> out;
  out.reserve(given.size());
  for (const auto& [name, value] : given) {
    auto& line = out.emplace_back();
    append_percent_encoded(line, name);
    line += between;
    append_percent_encoded(line, value);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string joined(const std::vector<std::string>& lines, char between) {
  std::string out;
  for (const auto& l : lines) {
    if (!out.empty()) out += between;
    out += l;
  }
  return out;
}

}  // namespace

bos_signer::bos_signer(std::string access_key_id, const secret& secret_access_key, secret session_token)
    : id_(std::move(access_key_id)), key_(hash::sha256, secret_access_key.reveal()), token_(std::move(session_token)) {}

secret bos_signer::presign(const signable_request& request, timestamp now, seconds expires) const {
  auto whole = request;
  if (!token_.empty()) whole.query.emplace_back("x-bce-security-token", token_.reveal());
  std::string url;
  url.reserve(512);
  url.append(request.scheme).append("://").append(request.authority);
  append_percent_encoded(url, request.path, true);
  url += '?';
  for (const auto& [name, value] : whole.query) {
    append_percent_encoded(url, name);
    url += '=';
    append_percent_encoded(url, value);
    url += '&';
  }
  url += "authorization=";
  append_percent_encoded(url, authorization(whole, now, expires));
  return secret(std::move(url));
}

std::string bos_signer::authorization(const signable_request& request, timestamp now, seconds expires) const {
  pairs given{{"host", request.sent_host()}};
  for (const auto& f : request.fields) given.emplace_back(to_lower(f.name), trim(f.value));
  const auto fields = sorted(given, ':');
  std::string names;
  for (const auto& f : fields) names.append(names.empty() ? "" : ";").append(f, 0, f.find(':'));

  std::string canonical = request.method + "\n";
  append_percent_encoded(canonical, request.path, true);
  canonical.append("\n").append(joined(sorted(request.query, '='), '&')).append("\n").append(joined(fields, '\n'));

  auto head = "bce-auth-v1/" + id_ + "/" + format_rfc3339_seconds(now) + "/" + std::to_string(expires.count());
  const secret period_key(to_hex(key_.sign(head)));  // used as text
  return head + "/" + names + "/" + to_hex(hmac(hash::sha256, period_key.reveal(), canonical));
}

}  // namespace evp::auth
