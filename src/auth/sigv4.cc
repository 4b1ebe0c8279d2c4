#include "auth/sigv4.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::auth {
namespace {

using parameters = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view token_name = "X-Amz-Security-Token";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = char(c + 32);
  return out;
}

/// Names and values encoded, then sorted by encoded name and value ("Task 1: Create a canonical request", step 3).
std::string canonical_query(const parameters& query) {
  parameters encoded;
  encoded.reserve(query.size());
  for (const auto& [name, value] : query) encoded.emplace_back(percent_encode(name), percent_encode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out.append(name).append("=").append(value);
  }
  return out;
}

/// White space at the ends goes, and runs of spaces within become one.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const char plain = c == '\t' ? ' ' : c;
    if (plain == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += plain;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

/// Lower-case names in order, Host among them; several fields of one name become one with a comma between.
http::headers canonical_fields(const sigv4_request& request) {
  http::headers sorted{{"host", request.host.empty() ? request.authority : request.host}};
  for (const auto& f : request.fields) sorted.push_back({lower(f.name), canonical_value(f.value)});
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  http::headers merged;
  for (auto& f : sorted) {
    if (!merged.empty() && merged.back().name == f.name)
      merged.back().value.append(",").append(f.value);
    else
      merged.push_back(std::move(f));
  }
  return merged;
}

std::string names_of(const http::headers& canonical) {
  std::string out;
  for (const auto& f : canonical) {
    if (!out.empty()) out += ';';
    out += f.name;
  }
  return out;
}

std::string base_of(const sigv4_request& request) {
  return request.scheme + "://" + request.authority + percent_encode(request.path, true);
}

}  // namespace

sigv4_signer::sigv4_signer(aws_credentials credentials, std::string region, std::string service)
    : credentials_(std::move(credentials)), region_(std::move(region)), service_(std::move(service)) {}

secret sigv4_signer::presign(const sigv4_request& request, timestamp now, seconds expires) const {
  const auto date_time = format_basic(now);
  const auto fields = canonical_fields(request);
  auto query = request.query;
  query.emplace_back("X-Amz-Algorithm", algorithm);
  query.emplace_back("X-Amz-Credential", credentials_.access_key_id + "/" + scope(date_time.substr(0, 8)));
  query.emplace_back("X-Amz-Date", date_time);
  query.emplace_back("X-Amz-Expires", std::to_string(expires.count()));
  query.emplace_back("X-Amz-SignedHeaders", names_of(fields));
  if (!credentials_.session_token.empty()) query.emplace_back(token_name, credentials_.session_token.reveal());

  const auto text = canonical_query(query);
  const auto signed_text = signature(request, text, fields, unsigned_payload, date_time);
  return secret(base_of(request) + "?" + text + "&X-Amz-Signature=" + signed_text);
}

http::headers sigv4_signer::sign_headers(const sigv4_request& request, timestamp now,
                                         std::string_view payload_sha256) const {
  const auto date_time = format_basic(now);
  http::headers added{{"X-Amz-Date", date_time}, {"X-Amz-Content-Sha256", std::string(payload_sha256)}};
  if (!credentials_.session_token.empty())
    added.push_back({std::string(token_name), credentials_.session_token.reveal()});

  auto whole = request;
  whole.fields.insert(whole.fields.end(), added.begin(), added.end());
  const auto fields = canonical_fields(whole);
  const auto signed_text = signature(request, canonical_query(request.query), fields, payload_sha256, date_time);
  added.push_back({"Authorization", std::string(algorithm) + " Credential=" + credentials_.access_key_id + "/" +
                                        scope(date_time.substr(0, 8)) + ", SignedHeaders=" + names_of(fields) +
                                        ", Signature=" + signed_text});
  return added;
}

std::string sigv4_signer::url_of(const sigv4_request& request) {
  const auto query = canonical_query(request.query);
  return query.empty() ? base_of(request) : base_of(request) + "?" + query;
}

std::string sigv4_signer::signature(const sigv4_request& request, std::string_view canonical_query,
                                    const http::headers& fields, std::string_view payload,
                                    const std::string& date_time) const {
  std::string canonical = request.method + "\n" + percent_encode(request.path, true) + "\n";
  canonical.append(canonical_query).append("\n");
  for (const auto& f : fields) canonical.append(f.name).append(":").append(f.value).append("\n");
  canonical.append("\n").append(names_of(fields)).append("\n").append(payload);

  const std::string day = date_time.substr(0, 8);
  std::string to_sign(algorithm);
  to_sign.append("\n").append(date_time).append("\n").append(scope(day)).append("\n");
  to_sign.append(to_hex(sha256(canonical)));
  return to_hex(hmac_sha256(signing_key(day).reveal(), to_sign));
}

const secret& sigv4_signer::signing_key(std::string_view day) const {
  if (key_day_ == day) return key_;
  const secret seed("AWS4" + credentials_.secret_access_key.reveal());
  const secret by_day(hmac_sha256(seed.reveal(), day));
  const secret by_region(hmac_sha256(by_day.reveal(), region_));
  const secret by_service(hmac_sha256(by_region.reveal(), service_));
  key_ = secret(hmac_sha256(by_service.reveal(), "aws4_request"));
  key_day_ = day;
  return key_;
}

std::string sigv4_signer::scope(std::string_view day) const {
  return std::string(day) + "/" + region_ + "/" + service_ + "/aws4_request";
}

}  // namespace evp::auth
