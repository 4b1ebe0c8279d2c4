#include "storage/drivers/azure_key_revocation.h"

#include <algorithm>

namespace evp::storage {
namespace {

constexpr std::string_view api_version = "2023-05-01";
constexpr std::size_t max_id = 512;

/// The part between slashes that begins at `at`, which moves behind it.
std::string_view next_part(std::string_view text, std::size_t& at) {
  if (at >= text.size() || text[at] != '/') return {};
  const auto end = std::min(text.find('/', at + 1), text.size());
  const auto part = text.substr(at + 1, end - at - 1);
  at = end;
  return part;
}

bool is_plain(std::string_view part) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '(' || c == ')';
  };
  return !part.empty() && part != "." && part != ".." && std::all_of(part.begin(), part.end(), ok);
}

}  // namespace

result<void> azure_key_revocation::check_id(std::string_view resource_id, std::string_view account) {
  constexpr std::string_view any;
  const std::string_view wanted[] = {"subscriptions",   any,    "resourceGroups", any, "providers", "Microsoft.Storage",
                                     "storageAccounts", account};
  std::size_t at = 0;
  bool ok = resource_id.size() <= max_id;
  for (const auto want : wanted) {
    const auto part = next_part(resource_id, at);
    ok = ok && is_plain(part) && (want.empty() || part == want);
  }
  if (ok && at == resource_id.size()) return {};
  return fail(errc::invalid_argument, "accountResourceId",
              "must be the account's resource id: /subscriptions/<id>/resourceGroups/<name>/providers/"
              "Microsoft.Storage/storageAccounts/" +
                  std::string(account));
}

vendor_lever azure_key_revocation::lever() const {
  return {"azure-user-delegation-keys",
          "Every signature at " + resource_id_ +
              " that was made with a user delegation key, whoever made it: all grants of all containers and services "
              "with an identity, and those of other programs.",
          milliseconds(0), "https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas"};
}

io::task<result<void>> azure_key_revocation::pull() {
  CO_TRY(const auto token, co_await tokens_->fetch());
  auto r = auth::issuer_request(
      "POST", origin_ + resource_id_ + "/revokeUserDelegationKeys?api-version=" + std::string(api_version), ca_pem_);
  r.fields = {{"Authorization", "Bearer " + token.value.reveal()}, {"Content-Type", "application/json"}};
  CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
  if (answer.status == 200) co_return result<void>();
  co_return fail(error_of_answer(answer, "revoke the account's user delegation keys", json_error_code(answer.body)));
}

}  // namespace evp::storage
