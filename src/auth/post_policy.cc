#include "auth/post_policy.h"

#include <fmt/format.h>

#include "auth/json_text.h"
#include "base/encoding.h"

namespace evp::auth {
namespace {

/// Writes a JSON array of conditions as text: what is signed is this text, so its form is ours to keep.
class conditions {
 public:
  explicit conditions(bool escape_beyond_ascii) : escape_(escape_beyond_ascii) {}

  void equals(std::string_view name, std::string_view value) { add("{" + quoted(name) + ":" + quoted(value) + "}"); }
  void starts_with(std::string_view field, std::string_view value) {
    add("[\"starts-with\"," + quoted("$" + std::string(field)) + "," + quoted(value) + "]");
  }
  void size(std::uint64_t least, std::uint64_t most) {
    add(fmt::format("[\"content-length-range\",{},{}]", least, most));
  }
  std::string text() const { return "[" + text_ + "]"; }

 private:
  void add(const std::string& condition) { text_.append(text_.empty() ? "" : ",").append(condition); }

  std::string quoted(std::string_view value) const { return json_quoted(value, escape_); }

  std::string text_;
  bool escape_;
};

std::string expiration(timestamp t) { return "\"expiration\":\"" + format_rfc3339_seconds(t) + "\""; }

/// What the sender chooses, and what is fixed but for the signature's own.
void add_wanted(conditions& all, const post_policy& p) {
  if (p.size_bytes) all.size(p.size_bytes->first, p.size_bytes->second);
  for (const auto& [name, value] : p.prefixes) all.starts_with(name, value);
}
void add_key(conditions& all, const post_policy& p) {
  if (p.key_prefix.empty())
    all.equals("key", p.key);
  else
    all.starts_with("key", p.key_prefix);
}

/// The policy in base64 and the fields that are sent before it.
struct unsigned_form {
  std::string policy;
  post_form fields;
};

void put(post_form& form, std::string_view name, std::string value) {
  form.emplace_back(name, secret(std::move(value)));
}

unsigned_form aws_form(const sigv4_signer& signer, const post_policy& p, timestamp now, timestamp expires_at) {
  const auto& name = signer.dialect().name;
  const auto credential = signer.credential(now), date = format_basic(now);
  conditions all(false);
  add_wanted(all, p);
  if (!p.key_prefix.empty()) add_key(all, p);
  for (const auto& [field, value] : p.fields) all.equals(field, value);
  all.equals("bucket", p.bucket);
  all.equals(name.algorithm, signer.dialect().algorithm);
  all.equals(name.credential, credential);
  all.equals(name.date, date);
  if (!signer.session_token().empty()) all.equals(name.token, signer.session_token().reveal());
  if (p.key_prefix.empty()) add_key(all, p);

  unsigned_form out{to_base64("{" + expiration(expires_at) + ",\"conditions\":" + all.text() + "}"), {}};
  for (const auto& [field, value] : p.fields) put(out.fields, field, value);
  put(out.fields, "bucket", p.bucket);
  put(out.fields, name.algorithm, std::string(signer.dialect().algorithm));
  put(out.fields, name.credential, credential);
  put(out.fields, name.date, date);
  if (!signer.session_token().empty()) put(out.fields, name.token, signer.session_token().reveal());
  put(out.fields, "key", p.key);
  put(out.fields, "Policy", out.policy);
  return out;
}

unsigned_form google_form(const sigv4_signer& names, const post_policy& p, timestamp now, timestamp expires_at) {
  const auto credential = names.credential(now), date = format_basic(now);
  const auto& name = names.dialect().name;
  conditions all(true);
  add_wanted(all, p);
  for (const auto& [field, value] : p.fields) all.equals(field, value);
  all.equals("bucket", p.bucket);
  add_key(all, p);
  all.equals(to_lower(name.date), date);
  all.equals(to_lower(name.credential), credential);
  all.equals(to_lower(name.algorithm), names.dialect().algorithm);

  unsigned_form out{to_base64("{\"conditions\":" + all.text() + "," + expiration(expires_at) + "}"), {}};
  put(out.fields, "key", p.key);
  for (const auto& [field, value] : p.fields) put(out.fields, field, value);
  put(out.fields, to_lower(name.algorithm), std::string(names.dialect().algorithm));
  put(out.fields, to_lower(name.credential), credential);
  put(out.fields, to_lower(name.date), date);
  put(out.fields, "policy", out.policy);
  return out;
}

}  // namespace

post_form sign_post(const sigv4_signer& signer, const post_policy& policy, timestamp now, timestamp expires_at) {
  auto form = aws_form(signer, policy, now, expires_at);
  put(form.fields, signer.dialect().name.signature, to_hex(signer.sign_text(form.policy, now)));
  return std::move(form.fields);
}

result<post_form> sign_post(const goog4_signer& signer, const post_policy& policy, timestamp now,
                            timestamp expires_at) {
  auto form = google_form(signer.names(), policy, now, expires_at);
  TRY(const auto signature, signer.sign_text(form.policy));
  put(form.fields, "x-goog-signature", to_hex(signature));
  return std::move(form.fields);
}

post_form sign_goog4_hmac_post(const sigv4_signer& signer, const post_policy& policy, timestamp now,
                               timestamp expires_at) {
  auto form = google_form(signer, policy, now, expires_at);
  put(form.fields, "x-goog-signature", to_hex(signer.sign_text(form.policy, now)));
  return std::move(form.fields);
}

}  // namespace evp::auth
