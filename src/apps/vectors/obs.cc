// Huawei OBS: URLs of its JavaScript SDK, under OBS's names and under those of S3.
#include "apps/vectors/vectors.h"
#include "auth/sigv2.h"

namespace evp::vectors {

result<outcome> sign_obs(const source& from, const json::object& c) {
  TRY(auto d, describe(from, c, "https://obs.cn-north-4.myhuaweicloud.com:443"));
  const auto& input = input_of(c);
  const auto& dialect = text(input, "sig") == "v2" ? auth::obs2_aws_names : auth::obs2;
  const auth::sigv2_signer signer(text(from.file, "access_key"), secret(text(from.file, "secret_key")), secret(d.token),
                                  d.bucket, dialect);
  TRY(const auto now, clock_of(from));
  const auto url = signer.presign(d.request, now + lifetime_of(input));
  return outcome{text(input, "op") + " " + d.key, sorted_url(text(c, "url")), sorted_url(url.reveal())};
}

}  // namespace evp::vectors
