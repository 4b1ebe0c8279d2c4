// Who may use the REST API.
#include "api/auth.h"

#include <sys/stat.h>

#include <map>

#include "base/audit_chain.h"
#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::api {
namespace {

constexpr std::size_t min_token_bytes = 16;
constexpr std::size_t max_token_bytes = 1024;

/// What a token's roles make of its bearer, for the tenant that the request names or the only one that it can mean. A
/// role in all tenants and a better one in this one do not add up: what is about all takes the former.
result<caller> caller_of_token(const oidc_bearer& b, std::string_view wanted) {
  std::optional<backend::role> everywhere;
  std::map<std::string, backend::role> tenants;
  const auto best = [](auto& kept, backend::role r) { kept = std::max(kept, r); };
  for (const auto& r : b.roles) {
    if (r.tenant)
      best(tenants.try_emplace(*r.tenant, r.what).first->second, r.what);
    else
      everywhere = std::max(everywhere.value_or(r.what), r.what);
  }
  const std::string header(tenant_header);
  if (!everywhere && tenants.empty())
    return fail(errc::permission_denied, "the token gives no role here: one is spelt \"evp:<tenant>:<role>\"");
  caller out{std::string(audit_actor::oidc) + b.subject, "", false, backend::role::viewer};
  if (!wanted.empty())
    out.tenant = wanted == backend::access::own_tenant ? std::string_view() : wanted;
  else if (!everywhere && tenants.size() > 1)
    return fail(errc::permission_denied, header, "the token has roles in several tenants: name one with " + header);
  else if (!everywhere)
    out.tenant = tenants.begin()->first;
  const auto here = tenants.find(out.tenant);
  if (!everywhere && here == tenants.end())
    return fail(errc::permission_denied, header, "the token is for another tenant");
  out.everywhere = everywhere && (here == tenants.end() || *everywhere >= here->second);
  out.what = out.everywhere ? *everywhere : here->second;
  return out;
}

}  // namespace

result<secret> open_token_file(const io::fs::path& file) {
  struct stat st {};
  if (::lstat(file.c_str(), &st) == 0 || errno != ENOENT) return read_token_file(file);
  secret fresh(to_base64url(random_bytes(32)));
  CHECK(io::write_file_durably(file, fresh.reveal() + "\n", 0600));
  return fresh;
}

result<secret> read_token_file(const io::fs::path& file) {
  struct stat st {};
  if (::lstat(file.c_str(), &st) != 0) return fail(errno_error(errno, file.string()));
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

bool bearer_auth::matches(std::string_view token) const { return equal_in_constant_time(sha256(token), digest_); }

result<caller> identify(const bearer_auth& admin, const backend::access& keys, oidc_issuer* issuer,
                        const http::headers& fields) {
  const auto value = http::find(fields, "Authorization");
  constexpr std::string_view scheme = "Bearer ";
  if (value.size() <= scheme.size() || !http::same_name(value.substr(0, scheme.size()), scheme))
    return fail(errc::unauthenticated, "send the admin token or an API key as \"Authorization: Bearer <token>\"");
  const auto token = value.substr(scheme.size());
  const auto wanted = http::find(fields, tenant_header);
  caller out;
  if (admin.matches(token)) {
    out = {std::string(audit_actor::admin), "", true, backend::role::admin};
  } else if (issuer && oidc_issuer::is_token(token)) {
    TRY(const auto bearer, issuer->authenticate(token));
    TRY(out, caller_of_token(bearer, wanted));
    if (!out.tenant.empty() && !keys.has_tenant(out.tenant))
      return fail(errc::not_found, std::string(tenant_header), "there is no tenant of that id");
    return out;
  } else {
    const auto key = keys.authenticate(token);
    if (!key)
      return fail(
          errc::unauthenticated,
          "this is neither the admin token, which stands in the file admin.token of the data folder, nor an API "
          "key that is good");
    out = {key->id, key->tenant.value_or(""), !key->tenant, key->what};
  }
  if (wanted.empty()) return out;
  const auto tenant = wanted == backend::access::own_tenant ? std::string_view() : wanted;
  if (!out.everywhere && tenant != out.tenant)
    return fail(errc::permission_denied, std::string(tenant_header), "this API key is for another tenant");
  if (!tenant.empty() && !keys.has_tenant(tenant))
    return fail(errc::not_found, std::string(tenant_header), "there is no tenant of that id");
  out.tenant = tenant;
  return out;
}

result<void> check_level(const caller& who, level wanted) {
  using backend::role;
  const bool wants_all = wanted == level::view_all || wanted == level::administer_all;
  const auto least = wanted == level::operate                                         ? role::operator_role
                     : wanted == level::administer || wanted == level::administer_all ? role::admin
                                                                                      : role::viewer;
  if (who.what < least)
    return fail(errc::permission_denied, "this takes the role " + std::string(to_string(least)) +
                                             ", and the API key has " + std::string(to_string(who.what)));
  if (wants_all && !who.everywhere)
    return fail(errc::permission_denied, "this is about the whole installation, and the API key is for one tenant");
  return {};
}

}  // namespace evp::api
