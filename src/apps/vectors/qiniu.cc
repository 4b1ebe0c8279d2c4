// Qiniu Kodo: upload tokens and download URLs of its JavaScript SDK.
#include "auth/qiniu.h"

#include "apps/vectors/vectors.h"

namespace evp::vectors {

result<outcome> sign_qiniu(const source& from, const json::object& c) {
  const auto& input = input_of(c);
  const auto key = text(input, "key");
  const auth::qiniu_signer signer(text(from.file, "access_key"), secret(text(from.file, "secret_key")));
  TRY(const auto now, clock_of(from));
  const auto expires_at = now + lifetime_of(input);
  secret made;
  if (text(input, "op") == "get") {
    made = signer.download_url(text(input, "plainUrl"), expires_at);
  } else {
    auth::qiniu_put_policy policy;
    policy.bucket = text_or(from.file, "bucket", "examplebucket");
    policy.object = key;
    policy.expires_at = expires_at;
    policy.most_bytes = std::stoull(text_or(input, "fsizeLimit", "1000"));  // the published cases all have these two
    policy.create_only = text_or(input, "insertOnly", "1") == "1";
    if (input.contains("fsizeMin")) policy.least_bytes = std::stoull(text(input, "fsizeMin"));
    policy.mime_types = text(input, "mimeLimit");
    made = signer.upload_token(policy);
  }
  return outcome{text(input, "op") + " " + key, text(c, "url"), made.reveal()};
}

}  // namespace evp::vectors
