// S3 upload forms of the AWS SDK: every field, the policy and its signature among them.
#include "auth/post_policy.h"

#include <algorithm>
#include <vector>

#include "apps/vectors/vectors.h"

namespace evp::vectors {
namespace {

constexpr std::string_view placeholder = "${filename}";

std::string lines_of(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  std::string out;
  for (const auto& l : lines) out.append(l).append("\n");
  return out;
}

}  // namespace

result<outcome> sign_post_policy(const source& from, const json::object& c) {
  const auto& input = c.at("input").as_object();
  auth::post_policy policy;
  policy.bucket = text_or(from.file, "bucket", "examplebucket");
  policy.key = text(input, "Key");
  const bool open_end = policy.key.ends_with(placeholder);
  if (const auto* given = input.if_contains("Conditions"))
    for (const auto& condition : given->as_array()) {
      const auto& parts = condition.as_array();
      const auto kind = std::string(parts.at(0).as_string());
      if (kind == "content-length-range")
        policy.size_bytes = {parts.at(1).to_number<std::uint64_t>(), parts.at(2).to_number<std::uint64_t>()};
      else if (kind == "starts-with" && parts.at(1).as_string() == "$key")
        policy.key_prefix = parts.at(2).as_string();
      else if (kind == "starts-with")
        policy.prefixes.emplace_back(parts.at(1).as_string().subview(1), parts.at(2).as_string());
      else
        return fail(errc::unsupported, "unknown condition " + kind);
    }
  if (open_end && policy.key_prefix.empty())
    policy.key_prefix = policy.key.substr(0, policy.key.size() - placeholder.size());
  if (const auto* fields = input.if_contains("Fields"))
    for (const auto& [name, value] : fields->as_object()) policy.fields.emplace_back(name, value.as_string());

  // The published file names no key: it was made with the one that all its neighbours have.
  const auth::sigv4_signer signer({text_or(from.file, "access_key", "AKIDEXAMPLE"),
                                   secret(text_or(from.file, "secret_key", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")),
                                   secret(text(c, "session_token"))},
                                  text_or(from.file, "region", "us-east-1"));
  TRY(const auto now, clock_of(from));
  const auto form = auth::sign_post(signer, policy, now, now + seconds(std::stoll(text_or(input, "Expires", "3600"))));
  std::vector<std::string> want, got;
  for (const auto& [name, value] : c.at("fields").as_object())
    want.push_back(std::string(name) + "=" + std::string(value.as_string()));
  for (const auto& [name, value] : form) got.push_back(name + "=" + value.reveal());
  return outcome{policy.key, lines_of(std::move(want)), lines_of(std::move(got))};
}

}  // namespace evp::vectors
