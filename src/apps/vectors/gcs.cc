// Google Cloud Storage: signed URLs of its SDK, and Google's conformance tests (signed URLs and POST policies).
//
// An RSA signature has one form only (PKCS #1 v1.5), so a public key that verifies the expected signature for the text
// that we would sign proves equality; no private key needs to lie about.
#include <filesystem>

#include "apps/vectors/vectors.h"
#include "auth/goog4.h"
#include "auth/post_policy.h"
#include "base/encoding.h"
#include "io/files.h"

namespace evp::vectors {
namespace {

constexpr std::size_t key_max_bytes = 16 << 10;
constexpr std::string_view default_principal = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com";

/// The file's own "public_key", or the one of Google's conformance tests, beside the file or in ../gcs.
result<std::string> public_key_of(const source& from) {
  if (auto own = text(from.file, "public_key"); !own.empty()) return own;
  const auto folder = std::filesystem::absolute(from.path).parent_path();
  constexpr const char* name = "test_service_account_public.pem";
  std::error_code ignored;
  const auto beside = folder / name;
  return io::read_file(std::filesystem::exists(beside, ignored) ? beside : folder.parent_path() / "gcs" / name,
                       key_max_bytes);
}

/// "Signs" by giving the expected signature where it is right for the text.
result<auth::goog4_signer> signer_for(const source& from, const std::string& expected_hex) {
  TRY(auto key, public_key_of(from));
  TRY(auto expected, from_hex(expected_hex));
  auth::text_signer sign = [key = std::move(key),
                            expected = std::move(expected)](std::string_view t) -> result<std::string> {
    TRY(const bool good, rsa_verify_sha256(key, t, expected));
    return good ? expected : "the signature of another text";
  };
  return auth::goog4_signer(text_or(from.file, "principal", default_principal), std::move(sign));
}

std::string after(std::string_view text, std::string_view mark) {
  const auto at = text.rfind(mark);
  return at == text.npos ? std::string() : std::string(text.substr(at + mark.size()));
}

/// Where the conformance tests send a request: host names, endpoints and emulators outrank one another in this order.
void place(const json::object& c, auth::signable_request& r) {
  const auto bucket = text(c, "bucket"), style = text(c, "urlStyle");
  r.scheme = text_or(c, "scheme", "https");
  r.authority = "storage." + text_or(c, "universeDomain", "googleapis.com");
  for (const auto* name : {"emulatorHostname", "clientEndpoint", "hostname"})
    if (auto where = text(c, name); !where.empty()) {
      const auto colon = where.find("://");
      r.scheme = colon == where.npos ? text_or(c, "scheme", "https") : where.substr(0, colon);
      r.authority = colon == where.npos ? where : where.substr(colon + 3);
    }
  if (style == "VIRTUAL_HOSTED_STYLE")
    r.authority = bucket + "." + r.authority;
  else if (style == "BUCKET_BOUND_HOSTNAME")
    r.authority = text(c, "bucketBoundHostname");
  else
    r.path = "/" + bucket;
  r.host = auth::goog4_host(r.authority);
}

result<outcome> sign_conformance_url(const source& from, const json::object& c) {
  auth::signable_request r;
  r.method = text(c, "method");
  r.path.clear();
  place(c, r);
  if (c.contains("object")) r.path += "/" + text(c, "object");
  if (const auto* fields = c.if_contains("headers"))
    for (const auto& [name, value] : fields->as_object())
      r.fields.push_back({std::string(name), std::string(value.as_string())});
  if (const auto* query = c.if_contains("queryParameters"))
    for (const auto& [name, value] : query->as_object()) r.query.emplace_back(name, value.as_string());
  const auto expected = text(c, "expectedUrl");
  TRY(const auto now, parse_rfc3339(text(c, "timestamp")));
  TRY(const auto signer, signer_for(from, after(expected, "X-Goog-Signature=")));
  const seconds lifetime(c.at("expiration").as_int64());
  TRY(const auto url, signer.presign(r, now, lifetime));
  return outcome{text(c, "description"), text(c, "expectedStringToSign") + "\n" + sorted_url(expected),
                 signer.draft(r, now, lifetime).string_to_sign + "\n" + sorted_url(url.reveal())};
}

std::string lines_of(const std::string& url, std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  std::string out = url;
  for (const auto& l : lines) out.append("\n").append(l);
  return out;
}

result<outcome> sign_conformance_form(const source& from, const json::object& c) {
  const auto& given = c.at("policyInput").as_object();
  const auto& expected = c.at("policyOutput").as_object();
  auth::signable_request where;
  where.path.clear();
  place(given, where);
  auth::post_policy policy;
  policy.bucket = text(given, "bucket");
  policy.key = text(given, "object");
  if (const auto* fields = given.if_contains("fields"))
    for (const auto& [name, value] : fields->as_object()) policy.fields.emplace_back(name, value.as_string());
  if (const auto* bounds = given.if_contains("conditions")) {
    if (const auto* range = bounds->as_object().if_contains("contentLengthRange"))
      policy.size_bytes = {range->as_array().at(0).to_number<std::uint64_t>(),
                           range->as_array().at(1).to_number<std::uint64_t>()};
    if (const auto* start = bounds->as_object().if_contains("startsWith"))
      policy.prefixes.emplace_back(start->as_array().at(0).as_string().subview(1), start->as_array().at(1).as_string());
  }
  TRY(const auto now, parse_rfc3339(text(given, "timestamp")));
  const auto& fields = expected.at("fields").as_object();
  TRY(const auto signer, signer_for(from, text(fields, "x-goog-signature")));
  TRY(const auto form, auth::sign_post(signer, policy, now, now + seconds(given.at("expiration").as_int64())));

  std::vector<std::string> want, got;
  for (const auto& [name, value] : fields) want.push_back(std::string(name) + "=" + std::string(value.as_string()));
  for (const auto& [name, value] : form) got.push_back(name + "=" + value.reveal());
  return outcome{text(c, "description"), lines_of(text(expected, "url"), std::move(want)),
                 lines_of(where.scheme + "://" + where.authority + where.path + "/", std::move(got))};
}

}  // namespace

result<outcome> sign_gcs(const source& from, const json::object& c) {
  if (c.contains("policyInput")) return sign_conformance_form(from, c);
  if (c.contains("expectedUrl")) return sign_conformance_url(from, c);

  TRY(auto d, describe(from, c, "https://storage.googleapis.com"));
  const auto& input = input_of(c);
  if (text(input, "vhost") != "true") {
    d.request.authority.erase(0, d.bucket.size() + 1);
    d.request.path = "/" + d.bucket + d.request.path;
  }
  d.request.host = auth::goog4_host(d.request.authority);
  const auto expected = text(c, "url");
  TRY(const auto signer, signer_for(from, after(expected, "X-Goog-Signature=")));
  TRY(const auto now, clock_of(from));
  TRY(const auto url, signer.presign(d.request, now, lifetime_of(input)));
  return outcome{text(input, "op") + " " + d.key, sorted_url(expected), sorted_url(url.reveal())};
}

}  // namespace evp::vectors
