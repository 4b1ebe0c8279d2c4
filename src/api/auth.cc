// Who may use the REST API.
#include "api/auth.h"

#include <sys/stat.h>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::api {
namespace {

constexpr std::size_t min_token_bytes = 16;
constexpr std::size_t max_token_bytes = 1024;

}  // namespace

result<secret> open_token_file(const io::fs::path& file) {
  struct stat st {};
  if (::lstat(file.c_str(), &st) != 0) {
    if (errno != ENOENT) return fail(errno_error(errno, file.string()));
    secret fresh(to_base64url(random_bytes(32)));
    CHECK(io::write_file_durably(file, fresh.reveal() + "\n", 0600));
    return fresh;
  }
  if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
    return fail(errc::failed_precondition,
                file.string() + " must be a regular file that only its owner may read: chmod 600");
  TRY(auto text, io::read_file(file, max_token_bytes));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  if (text.size() < min_token_bytes)
    return fail(errc::failed_precondition, file.string() + " holds too short a token: remove the file and start again");
  return secret(std::move(text));
}

bearer_auth::bearer_auth(const secret& token) : digest_(sha256(token.reveal())) {}

result<void> bearer_auth::check(const http::headers& fields) const {
  const auto value = http::find(fields, "Authorization");
  constexpr std::string_view scheme = "Bearer ";
  if (value.size() <= scheme.size() || !http::same_name(value.substr(0, scheme.size()), scheme))
    return fail(errc::unauthenticated, "send the admin token as \"Authorization: Bearer <token>\"");
  if (!equal_in_constant_time(sha256(value.substr(scheme.size())), digest_))
    return fail(errc::unauthenticated,
                "this is not the admin token: it stands in the file admin.token of the data folder");
  return {};
}

}  // namespace evp::api
