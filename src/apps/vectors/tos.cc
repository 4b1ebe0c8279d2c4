// Volcengine TOS: URLs of its JavaScript SDK.
#include "apps/vectors/vectors.h"
#include "auth/sigv4.h"

namespace evp::vectors {

result<outcome> sign_tos(const source& from, const json::object& c) {
  TRY(auto d, describe(from, c, "https://tos-cn-beijing.volces.com"));
  d.request.query.emplace_back("X-Tos-Content-Sha256", auth::unsigned_payload);  // that SDK says so in the query
  // The published cases were made with the endpoint's name for a region.
  const auth::sigv4_signer signer(
      {text(from.file, "access_key"), secret(text(from.file, "secret_key")), secret(d.token)},
      text_or(from.file, "region", "tos-cn-beijing.volces.com"), "tos", auth::tos4);
  TRY(const auto now, clock_of(from));
  const auto& input = input_of(c);
  const auto url = signer.presign(d.request, now, lifetime_of(input));
  return outcome{text(input, "op") + " " + d.key, sorted_url(text(c, "url")), sorted_url(url.reveal())};
}

}  // namespace evp::vectors
