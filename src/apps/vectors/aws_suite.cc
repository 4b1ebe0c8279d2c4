// AWS's signing test suite: a folder for each case, given by its context.json. The suite signs for "service", not for
// S3: paths are normalised and encoded as they stand, and an unsigned body counts as an empty one. Its query variants
// are checked.
#include <filesystem>
#include <vector>

#include "apps/vectors/vectors.h"
#include "auth/sigv4.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "io/files.h"

namespace evp::vectors {

result<outcome> sign_aws_suite(const source& from, const json::object& context);

namespace {

constexpr std::size_t part_max_bytes = 64 << 10;

struct raw_request {
  std::string method, path, query, body;
  http::headers fields;
};

/// An HTTP request as text; a line that begins with white space continues the one before.
raw_request read_request(std::string_view text) {
  raw_request r;
  const auto blank = std::min(text.find("\n\n"), text.size());
  if (blank + 2 < text.size()) r.body = text.substr(blank + 2);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < blank;) {
    const auto end = std::min(text.find('\n', at), blank);
    const auto line = text.substr(at, end - at);
    if (!lines.empty() && !line.empty() && line[0] == ' ')
      lines.back().append(" ").append(line);
    else
      lines.emplace_back(line);
    at = end + 1;
  }
  const auto& first = lines.at(0);
  const auto space = first.find(' '), version = first.rfind(" HTTP/");
  r.method = first.substr(0, space);
  const auto target = first.substr(space + 1, version - space - 1);
  const auto mark = std::min(target.find('?'), target.size());
  r.path = target.substr(0, mark);
  if (mark < target.size()) r.query = target.substr(mark + 1);
  for (std::size_t i = 1; i < lines.size(); ++i)
    if (const auto colon = lines[i].find(':'); colon != std::string::npos)
      r.fields.push_back({lines[i].substr(0, colon), lines[i].substr(colon + 1)});
  return r;
}

/// RFC 3986, 5.2.4, and empty segments dropped: what every AWS service but S3 does.
std::string normalised(std::string_view path) {
  std::vector<std::string_view> kept;
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    const auto segment = path.substr(at, end - at);
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
    at = end + 1;
  }
  std::string out;
  for (const auto s : kept) out.append("/").append(s);
  return out.empty() || path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..") ? out + "/" : out;
}

}  // namespace

result<outcome> sign_aws_suite(const source& from, const json::object& context) {
  const auto folder = std::filesystem::path(from.path).parent_path();
  TRY(const auto raw, io::read_file(folder / "request.txt", part_max_bytes));
  TRY(auto expected, io::read_file(folder / "query-signature.txt", part_max_bytes));
  const auto parts = read_request(raw);

  const auto& given = context.at("credentials").as_object();
  const bool token_is_signed = text(context, "omit_session_token") != "true";
  const auth::sigv4_signer signer({text(given, "access_key_id"), secret(text(given, "secret_access_key")),
                                   secret(token_is_signed ? text(given, "token") : "")},
                                  text(context, "region"), text(context, "service"));
  auth::signable_request request;
  request.method = parts.method;
  request.signed_path = text(context, "normalize") == "true" ? normalised(parts.path) : parts.path;
  for (const auto& f : parts.fields)
    if (http::same_name(f.name, "Host"))
      request.authority = f.value;
    else
      request.fields.push_back(f);
  for (std::size_t at = 0; at < parts.query.size();) {
    const auto end = std::min(parts.query.find('&', at), parts.query.size());
    const auto pair = parts.query.substr(at, end - at);
    const auto equals = std::min(pair.find('='), pair.size());
    TRY(auto name, percent_decode(pair.substr(0, equals)));
    TRY(auto value, percent_decode(equals < pair.size() ? pair.substr(equals + 1) : ""));
    request.query.emplace_back(std::move(name), std::move(value));
    at = end + 1;
  }
  request.payload_sha256 = to_hex(sha256(text(context, "sign_body") == "true" ? parts.body : ""));
  TRY(const auto now, parse_rfc3339(text(context, "timestamp")));
  const auto url = signer.presign(request, now, seconds(std::stoll(text(context, "expiration_in_seconds")))).reveal();
  return outcome{folder.filename(), std::move(expected), url.substr(url.size() - 64)};
}

}  // namespace evp::vectors
