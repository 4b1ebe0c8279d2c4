// Baidu BOS: URLs of its JavaScript SDK.
#include "auth/bos.h"

#include <vector>

#include "apps/vectors/vectors.h"

namespace evp::vectors {
namespace {

/// Quirk of that SDK: it takes a key for a file path and resolves it (path.normalize of Node.js), so it can name
/// neither "a//b" nor "/a" nor "a/../b".
std::string as_file_path(std::string_view key) {
  std::vector<std::string_view> kept;
  for (std::size_t at = 0; at <= key.size();) {
    const auto end = std::min(key.find('/', at), key.size());
    const auto segment = key.substr(at, end - at);
    if (segment == ".." && !kept.empty())
      kept.pop_back();
    else if (!segment.empty() && segment != "." && segment != "..")
      kept.push_back(segment);
    at = end + 1;
  }
  std::string out;
  for (const auto s : kept) out.append("/").append(s);
  return key.ends_with('/') ? out + "/" : out;
}

}  // namespace

result<outcome> sign_bos(const source& from, const json::object& c) {
  TRY(auto d, describe(from, c, "https://bj.bcebos.com"));
  // The published cases don't say their method: that SDK signs GET unless it is told another.
  d.request.method = text_or(c, "method", "GET");
  d.request.path = "/v1" + as_file_path(d.key);
  const auth::bos_signer signer(text(from.file, "access_key"), secret(text(from.file, "secret_key")), secret(d.token));
  TRY(const auto now, clock_of(from));
  const auto& input = input_of(c);
  const auto url = signer.presign(d.request, now, lifetime_of(input));
  return outcome{text(input, "op") + " " + d.key, sorted_url(text(c, "url")), sorted_url(url.reveal())};
}

}  // namespace evp::vectors
