// Tencent COS: URLs of its JavaScript SDK and the tests of its Go SDK.
#include "auth/cos.h"

#include "apps/vectors/vectors.h"

namespace evp::vectors {
namespace {

/// A case of the Go SDK's tests: the authorization alone.
result<outcome> sign_go(const json::object& c) {
  auth::signable_request r;
  r.method = text(c, "method");
  r.path = text(c, "path");
  for (const auto& [name, value] : c.at("headers").as_object())
    r.fields.push_back({std::string(name), std::string(value.as_string())});
  for (const auto& [name, value] : c.at("params").as_object()) r.query.emplace_back(name, value.as_string());
  const auto period = text(c, "sign_time");
  const auto semicolon = period.find(';');
  const timestamp starts(seconds(std::stoll(period))), ends(seconds(std::stoll(period.substr(semicolon + 1))));
  const auth::cos_signer signer(text(c, "secret_id"), secret(text(c, "secret_key")), secret());
  return outcome{text(c, "name"), text(c, "expected"), signer.authorization(r, starts, ends)};
}

}  // namespace

result<outcome> sign_cos(const source& from, const json::object& c) {
  if (c.contains("sign_time")) return sign_go(c);

  TRY(auto d, describe(from, c, "https://cos.ap-guangzhou.myqcloud.com"));
  // Quirk of that SDK: a key is a path to it, and "/lead" means the object "lead".
  if (d.key.starts_with('/')) d.request.path.erase(0, 1);
  d.request.fields.push_back({"Host", d.request.authority});
  const auth::cos_signer signer(text(from.file, "access_key"), secret(text(from.file, "secret_key")), secret(d.token));
  TRY(const auto now, clock_of(from));
  const auto starts = now - seconds(1);  // that SDK lets the period begin a second early
  const auto& input = input_of(c);
  const auto url = signer.presign(d.request, starts, starts + lifetime_of(input));
  return outcome{text(input, "op") + " " + d.key, sorted_url(text(c, "url")), sorted_url(url.reveal())};
}

}  // namespace evp::vectors
