#include "auth/oci_signature.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/http_date.h"

namespace evp::auth {

http::headers oci_signer::sign(const oci_request& request, timestamp now) const {
  const auto fields = signed_fields(request, now);
  const auto signature = to_base64(key_.sign_sha256(string_to_sign(fields)));
  http::headers out;
  for (const auto& f : fields)
    if (f.name == "date" || f.name == "content-type" || f.name == "x-content-sha256") out.push_back(f);
  out.push_back({"Authorization", authorization(key_id_, fields, signature)});
  return out;
}

std::string oci_signer::string_to_sign(const http::headers& fields) {
  std::string out;
  for (const auto& f : fields) out.append(out.empty() ? "" : "\n").append(to_lower(f.name) + ": " + f.value);
  return out;
}

std::string oci_signer::authorization(std::string_view key_id, const http::headers& fields,
                                      std::string_view signature) {
  std::string names;
  for (const auto& f : fields) names.append(names.empty() ? "" : " ").append(to_lower(f.name));
  return fmt::format(R"(Signature version="1",headers="{}",keyId="{}",algorithm="rsa-sha256",signature="{}")", names,
                     key_id, signature);
}

http::headers oci_signer::signed_fields(const oci_request& request, timestamp now) {
  http::headers fields{{"date", format_http_date(now)},
                       {"(request-target)", to_lower(request.method) + " " + request.target},
                       {"host", request.host}};
  if (!request.json) return fields;
  fields.push_back({"content-length", std::to_string(request.json->size())});
  fields.push_back({"content-type", "application/json"});
  fields.push_back({"x-content-sha256", to_base64(sha256(*request.json))});
  return fields;
}

}  // namespace evp::auth
