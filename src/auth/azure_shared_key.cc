#include "auth/azure_shared_key.h"

#include <map>

#include "base/encoding.h"
#include "base/http_date.h"

namespace evp::auth {
namespace {

constexpr std::string_view own_prefix = "x-ms-";

}  // namespace

std::string azure_shared_key_text(std::string_view account, const signable_request& r, std::size_t body_bytes) {
  std::string out = r.method;
  for (const std::string_view name :
       {"Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
        "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"}) {
    out += '\n';
    if (name != "Content-Length")
      out += http::find(r.fields, name);
    else if (body_bytes > 0)
      out += std::to_string(body_bytes);
  }
  std::map<std::string, std::string> own, query;  // in the order in which they are signed
  for (const auto& f : r.fields)
    if (auto name = to_lower(f.name); name.starts_with(own_prefix)) own[std::move(name)] = f.value;
  for (const auto& [name, value] : r.query) query[to_lower(name)] = value;
  for (const auto& [name, value] : own) out.append("\n").append(name).append(":").append(value);
  out.append("\n/").append(account).append(percent_encode(r.path, true));
  for (const auto& [name, value] : query) out.append("\n").append(name).append(":").append(value);
  return out;
}

void sign_azure_shared_key(const azure_sas_signer& by, signable_request& r, std::size_t body_bytes, timestamp now) {
  r.fields.push_back({"x-ms-date", format_http_date(now)});
  r.fields.push_back({"x-ms-version", std::string(azure_sas_version)});
  r.fields.push_back({"Authorization", by.authorization(azure_shared_key_text(by.account(), r, body_bytes))});
}

}  // namespace evp::auth
