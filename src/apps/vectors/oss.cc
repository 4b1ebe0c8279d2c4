// Alibaba OSS: URLs of its JavaScript SDK and the signer tests of its Go SDK; V4 in query and fields, and V1.
#include "apps/vectors/vectors.h"
#include "auth/sigv2.h"
#include "auth/sigv4.h"

namespace evp::vectors {
namespace {

std::string after(std::string_view text, std::string_view mark) {
  const auto at = text.rfind(mark);
  return at == text.npos ? std::string() : std::string(text.substr(at + mark.size()));
}

timestamp from_unix(const json::object& c, std::string_view name) { return timestamp(seconds(c.at(name).as_int64())); }

/// A case of the Go SDK's tests.
auth::signable_request request_of(const json::object& c) {
  auth::signable_request r;
  r.method = text(c, "method");
  r.authority = text(c, "bucket") + ".oss-cn-hangzhou.aliyuncs.com";
  r.path = "/" + text(c, "key");
  r.signed_path = "/" + text(c, "bucket") + r.path;
  if (const auto* fields = c.if_contains("headers"))
    for (const auto& [name, value] : fields->as_object())
      r.fields.push_back({std::string(name), std::string(value.as_string())});
  for (const auto& [name, value] : c.at("query").as_object()) r.query.emplace_back(name, value.as_string());
  if (const auto* names = c.if_contains("additional_headers"))
    for (const auto& name : names->as_array()) r.additional_fields.emplace_back(name.as_string());
  return r;
}

result<outcome> sign_go_v4(const json::object& c) {
  auto r = request_of(c);
  const auth::sigv4_signer signer(
      {text(c, "access_key"), secret(text(c, "secret_key")), secret(text(c, "security_token"))}, text(c, "region"),
      text(c, "product"), auth::oss4);
  std::string got;
  if (text(c, "kind") == "v4-query") {
    const auto now = from_unix(c, "sign_unix_time"), expires = from_unix(c, "expire_unix_time");
    got =
        after(signer.presign(r, now, std::chrono::duration_cast<seconds>(expires - now)).reveal(), "x-oss-signature=");
  } else {
    std::erase_if(r.fields, [](const auto& f) { return f.name == "x-oss-content-sha256"; });  // the signer adds it
    const auto fields = signer.sign_headers(r, from_unix(c, "unix_time"), auth::unsigned_payload);
    got = after(http::find(fields, "Authorization"), "Signature=");
  }
  return outcome{text(c, "name"), text(c, "expected_signature"), got};
}

result<outcome> sign_go_v1(const json::object& c) {
  const auto r = request_of(c);
  const auth::sigv2_signer signer(text(c, "access_key"), secret(text(c, "secret_key")),
                                  secret(text(c, "security_token")), text(c, "bucket"), auth::oss1);
  if (text(c, "kind") == "v1-header")
    return outcome{text(c, "name"), text(c, "expected_authorization"),
                   signer.authorization(r, http::find(r.fields, "x-oss-date"))};
  auto plain = r;
  plain.scheme = "http";
  return outcome{text(c, "name"), sorted_url(text(c, "expected_url")),
                 sorted_url(signer.presign(plain, from_unix(c, "expires")).reveal())};
}

}  // namespace

result<outcome> sign_oss(const source& from, const json::object& c) {
  const auto kind = text(c, "kind");
  if (kind.starts_with("v4-")) return sign_go_v4(c);
  if (kind.starts_with("v1-")) return sign_go_v1(c);

  TRY(auto d, describe(from, c, "https://oss-cn-hangzhou.aliyuncs.com"));
  d.request.signed_path = "/" + d.bucket + d.request.path;
  const auto& input = input_of(c);
  if (const auto* names = input.if_contains("additional"))
    for (const auto& name : names->as_array()) d.request.additional_fields.emplace_back(name.as_string());
  const auto id = text(from.file, "access_key");
  const secret key(text(from.file, "secret_key"));
  TRY(const auto now, clock_of(from));
  const auto lifetime = lifetime_of(input);
  secret url;
  if (text(input, "v1") == "true")
    url = auth::sigv2_signer(id, key, secret(d.token), d.bucket, auth::oss1).presign(d.request, now + lifetime);
  else
    url = auth::sigv4_signer({id, key, secret(d.token)}, text_or(from.file, "region", "cn-hangzhou"), "oss", auth::oss4)
              .presign(d.request, now, lifetime);
  return outcome{text(input, "op") + " " + d.key, sorted_url(text(c, "url")), sorted_url(url.reveal())};
}

}  // namespace evp::vectors
