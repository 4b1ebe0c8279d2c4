// Oracle Cloud: signatures of its JavaScript SDK.
//
// An RSA signature has one form only (PKCS #1 v1.5), so a public key that verifies the expected signature for the text
// that we would sign proves equality; no private key needs to lie about.
#include <algorithm>
#include <sstream>
#include <vector>

#include "apps/vectors/vectors.h"
#include "auth/oci_signature.h"
#include "base/encoding.h"

namespace evp::vectors {
namespace {

/// The text of name="..." in an Authorization field.
std::string parameter(std::string_view field, std::string_view name) {
  const auto mark = std::string(name) + "=\"";
  const auto begin = field.find(mark);
  if (begin == field.npos) return {};
  const auto end = field.find('"', begin + mark.size());
  return std::string(field.substr(begin + mark.size(), end - begin - mark.size()));
}

/// Our fields in the order of these names. Quirk of that SDK: it signs x-date, whose value is that of Date.
http::headers in_order(const http::headers& ours, const std::string& names) {
  http::headers out;
  std::istringstream words(names);
  for (std::string name; words >> name;)
    for (const auto& f : ours)
      if (http::same_name(f.name, name == "x-date" ? "date" : name)) out.push_back({name, f.value});
  return out;
}

/// The parameters in order of name: SDKs write them in different ones.
std::string sorted(std::string text) {
  text.erase(0, std::string_view("Signature ").size());
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');)
    parts.push_back(part.starts_with("headers=") ? to_lower(part) : part);  // that SDK writes some names in capitals
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const auto& p : parts) out += p + "\n";
  return out;
}

}  // namespace

result<outcome> sign_oci(const source& from, const json::object& c) {
  const auto& input = input_of(c);
  const auto body = text(input, "json");
  auth::oci_request r;
  r.method = text(input, "method");
  r.host = text(from.file, "host");
  r.target = text(input, "target");
  if (!body.empty()) r.json = body;
  TRY(const auto now, clock_of(from));
  const auto expected = text(c, "authorization");
  const auto fields = in_order(auth::oci_signer::signed_fields(r, now), parameter(expected, "headers"));
  const auto given = parameter(expected, "signature");
  TRY(const auto raw, from_base64(given));
  TRY(const auto is_ours,
      rsa_verify_sha256(text(from.file, "public_key"), auth::oci_signer::string_to_sign(fields), raw));
  const auto made = auth::oci_signer::authorization(text(from.file, "key_id"), fields, is_ours ? given : "another");
  return outcome{r.method + " " + text(input, "key"), sorted(expected), sorted(made)};
}

}  // namespace evp::vectors
