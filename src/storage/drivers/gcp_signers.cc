#include "storage/drivers/gcp_signers.h"

#include <fmt/format.h>

#include "auth/credentials/metadata.h"
#include "storage/drivers/bucket.h"

namespace evp::storage {
namespace {

using token_cache = auth::credential_cache<secret>;

tl::unexpected<error> wrong(std::string_view field, std::string message) {
  return fail(errc::invalid_argument, std::string(field), std::move(message));
}

/// Refuses fields that belong to another way to authenticate.
result<void> check_absent(const option_values& options, std::initializer_list<std::string_view> fields,
                          std::string_view credentials) {
  for (const auto field : fields)
    if (options.has(field)) return wrong(field, fmt::format("is not for credentials {}: leave it out", credentials));
  return {};
}

result<std::string> account_of(const option_values& options, std::string_view advice) {
  auto account = options.text("serviceAccount");
  if (account.find('@') == account.npos || !is_word(account) || account.find('/') != account.npos ||
      account.size() > 254)
    return wrong("serviceAccount", fmt::format("missing or no e-mail address: {}", advice));
  return account;
}

result<gcp_signer> static_signer(const option_values& options) {
  CHECK(check_absent(options,
                     {"audience", "subjectTokenFile", "impersonate", "stsEndpoint", "iamEndpoint", "prefixTokens"},
                     "static"));
  const bool rsa = options.has("serviceAccount") || options.has("privateKey");
  const bool hmac = options.has("accessKeyId") || options.has("secretAccessKey");
  if (rsa && hmac) return wrong("privateKey", "give either serviceAccount and privateKey, or an HMAC key");
  if (hmac) {
    TRY(auto keys, bucket_keys_of(options));
    return auth::make_goog4_hmac_signer(std::move(keys.id), std::move(keys.key));
  }
  TRY(auto account, account_of(options,
                               "copy \"client_email\" from the account's key file, or give an HMAC key, or "
                               "credentials instance or workloadIdentity"));
  auto key = rsa_private_key::parse(options.get("privateKey"));
  if (!key) return fail(std::move(key.error()).at("privateKey"));
  return auth::goog4_signer(std::move(account), std::move(*key));
}

/// An issuer's origin: Google's own, or what the user named, which the guard judges too.
result<std::string> issuer_origin(const option_values& options, std::string_view field, std::string_view otherwise,
                                  made_driver& made) {
  if (!options.has(field)) return std::string(otherwise);
  auto at = parse_endpoint(options.text(field));
  if (!at) return fail(std::move(at.error()).at(std::string(field)));
  if (!at->target.empty()) return wrong(field, "must end after host and port");
  if (at->scheme != "https" && !at->is_local_or_ip()) return wrong(field, "must be https: tokens travel there");
  made.others.push_back({std::string(field), at->origin()});
  return at->origin();
}

result<std::unique_ptr<auth::token_source>> federated_source(const option_values& options,
                                                             const driver_context& context, const gcp_iam_signer& by,
                                                             std::string sts_url) {
  auth::gcp_federation how;
  how.audience = options.text("audience");
  if (!is_word(how.audience) || !how.audience.starts_with("//"))
    return wrong("audience", "must be the provider's resource name: //iam.googleapis.com/projects/.../providers/...");
  if (!options.has("subjectTokenFile")) return wrong("subjectTokenFile", "is missing: where is the workload's token?");
  how.token_file = options.text("subjectTokenFile");
  if (auto ok = context.token_folders.check(how.token_file); !ok)
    return fail(std::move(ok.error()).at("subjectTokenFile"));
  if (options.text("impersonate") != "false") how.service_account = options.text("serviceAccount");
  how.scope = auth::gcp_cloud_scope;
  how.sts_url = std::move(sts_url);
  how.iam_origin = by.origin;
  return auth::make_gcp_federation(context.transport, context.clock, std::move(how), context.token_folders);
}

}  // namespace

result<gcp_signer> gcp_signer_of(const option_values& options, const driver_context& context, made_driver& made) {
  auto from = options.text("credentials");
  if (from.empty()) from = options.has("subjectTokenFile") ? "workloadIdentity" : "static";
  if (from == "static") return static_signer(options);
  const bool federated = from == "workloadIdentity";
  if (!federated && from != "instance") return wrong("credentials", "must be static, instance or workloadIdentity");
  CHECK(check_absent(options, {"privateKey", "accessKeyId", "secretAccessKey"}, from));

  gcp_iam_signer by;
  if (federated || options.has("serviceAccount")) {
    TRY(by.account, account_of(options, "whose key shall IAM sign with?"));
  }
  TRY(by.origin, issuer_origin(options, "iamEndpoint", auth::gcp_iam, made));
  const bool narrows = options.text("prefixTokens") == "true";
  if (!federated && !narrows) CHECK(check_absent(options, {"stsEndpoint"}, from));
  TRY(const auto sts, issuer_origin(options, "stsEndpoint", auth::gcp_sts_origin, made));
  const auto sts_url = sts + "/v1/token";
  if (narrows) by.narrowing_url = sts_url;
  std::unique_ptr<auth::token_source> source;
  if (federated) {
    TRY(source, federated_source(options, context, by, sts_url));
  } else {
    CHECK(check_absent(options, {"audience", "subjectTokenFile", "impersonate"}, from));
    if (!context.metadata) return wrong("credentials", "this program reaches no metadata service");
    source = auth::make_gcp_machine(*context.metadata, context.clock);
  }
  by.tokens = std::make_shared<token_cache>(context.clock, std::move(source));
  return by;
}

}  // namespace evp::storage
