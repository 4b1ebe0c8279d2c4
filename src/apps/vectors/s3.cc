// S3: URLs that the SDKs of AWS, MinIO and IBM presign, the documentation's examples, and AWS's signing test suite.
#include <algorithm>

#include "apps/vectors/vectors.h"
#include "auth/sigv4.h"
#include "base/encoding.h"

namespace evp::vectors {

result<outcome> sign_aws_suite(const source& from, const json::object& context);  // aws_suite.cc

namespace {

/// What the JavaScript SDK of AWS names the operation in a parameter of its own, x-id.
constexpr std::pair<std::string_view, std::string_view> operation_ids[] = {{"put", "PutObject"},
                                                                           {"get", "GetObject"},
                                                                           {"part", "UploadPart"},
                                                                           {"delete", "DeleteObject"},
                                                                           {"abort", "AbortMultipartUpload"}};

auth::aws_credentials credentials_of(const source& from, std::string token) {
  return {text(from.file, "access_key"), secret(text(from.file, "secret_key")), secret(std::move(token))};
}

result<outcome> sign_presigned(const source& from, const json::object& c, std::string_view endpoint,
                               std::string_view region) {
  TRY(auto d, describe(from, c, endpoint));
  const auto& input = input_of(c);
  if (const auto* meta = input.if_contains("meta"))
    for (const auto& [name, value] : meta->as_object())
      d.request.fields.push_back({"x-amz-meta-" + std::string(name), std::string(value.as_string())});
  const bool from_aws = c.contains("input");  // this SDK adds parameters of its own
  if (from_aws) {
    d.request.query.emplace_back("X-Amz-Content-Sha256", auth::unsigned_payload);
    for (const auto& [op, id] : operation_ids)
      if (op == text(input, "op")) d.request.query.emplace_back("x-id", id);
  }
  const auth::sigv4_signer signer(credentials_of(from, d.token), text_or(from.file, "region", region));
  TRY(const auto now, clock_of(from));
  const auto url = signer.presign(d.request, now, lifetime_of(input));
  return outcome{text(input, "op") + " " + d.key, sorted_url(text(c, "url")), sorted_url(url.reveal())};
}

/// "20130524T000000Z" as a point in time.
result<timestamp> basic_time(const std::string& t) {
  if (t.size() != 16) return fail(errc::invalid_argument, "no basic time: " + t);
  return parse_rfc3339(t.substr(0, 4) + "-" + t.substr(4, 2) + "-" + t.substr(6, 5) + ":" + t.substr(11, 2) + ":" +
                       t.substr(13));
}

std::string after(std::string_view text, std::string_view mark) {
  const auto at = text.rfind(mark);
  return at == text.npos ? std::string() : std::string(text.substr(at + mark.size()));
}

/// The examples of the S3 documentation: the signature alone.
result<outcome> sign_documented(const source& from, const json::object& c) {
  const auth::sigv4_signer signer(credentials_of(from, ""), text(from.file, "region"), text(from.file, "service"));
  TRY(const auto now, basic_time(text(from.file, "timestamp")));
  auth::signable_request request;
  request.method = text(c, "method");
  const auto& fields = c.at("headers").as_object();
  request.authority = text(fields, "host");
  TRY(request.path, percent_decode(text(c, "url_path")));
  for (const auto& [name, value] : fields)
    if (name != "host" && name != "x-amz-date" && name != "x-amz-content-sha256")
      request.fields.push_back({std::string(name), std::string(value.as_string())});
  for (const auto& [name, value] : c.at("query").as_object())
    if (!name.starts_with("X-Amz-")) request.query.emplace_back(name, value.as_string());

  const auto expires = text(c.at("query").as_object(), "X-Amz-Expires");
  std::string got;
  if (expires.empty())
    got = after(http::find(signer.sign_headers(request, now, text(c, "payload")), "Authorization"), "Signature=");
  else
    got = after(signer.presign(request, now, seconds(std::stoll(expires))).reveal(), "Signature=");
  return outcome{text(c, "name"), text(c, "expected_signature"), got};
}

}  // namespace

result<outcome> sign_s3(const source& from, const json::object& c) {
  if (c.contains("expiration_in_seconds")) return sign_aws_suite(from, c);
  if (c.contains("expected_signature")) return sign_documented(from, c);
  return sign_presigned(from, c, "https://s3.us-east-1.amazonaws.com", "us-east-1");
}

result<outcome> sign_ibm(const source& from, const json::object& c) {
  return sign_presigned(from, c, "https://s3.us-south.cloud-object-storage.appdomain.cloud", "us-south");
}

}  // namespace evp::vectors
