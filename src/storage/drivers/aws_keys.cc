#include "storage/drivers/aws_keys.h"

#include <fmt/format.h>

#include "auth/credentials/aws_sts.h"
#include "auth/credentials/metadata.h"

namespace evp::storage {
namespace {

/// The token service of the role: the provider's own, or that of the storage itself (Ceph RGW, MinIO).
result<auth::sts_endpoint> sts_of(const option_values& options, const driver_context& context,
                                  const bucket_place& where, const std::string& region, const std::string& provider_sts,
                                  made_driver& made) {
  const auto given = options.text("stsEndpoint");
  if (given.empty() && !provider_sts.empty()) return auth::sts_endpoint{provider_sts, region, {}};
  if (given.empty()) {
    auto at = where.at;
    if (!where.in_path) at.host.erase(0, where.bucket.size() + 1);
    return auth::sts_endpoint{at.origin(), region, context.ca_pem};
  }
  auto at = parse_endpoint(given);
  if (!at) return fail(std::move(at.error()).at("stsEndpoint"));
  if (!at->target.empty()) return fail(errc::invalid_argument, "stsEndpoint", "must end after host and port");
  if (at->scheme != "https" && !at->is_local_or_ip())
    return fail(errc::invalid_argument, "stsEndpoint", "must be https: credentials travel there");
  made.others.push_back({"stsEndpoint", at->origin()});
  return auth::sts_endpoint{at->origin(), region, context.ca_pem};
}

/// Makes sessions of a role, each with the base that the options name.
struct role_sessions {
  http::transport& transport;
  const io::clock& clock;
  http::transport* metadata;
  auth::token_folders folders;
  std::string from, web_file;
  auth::aws_credentials keys;
  auth::sts_endpoint sts;
  auth::aws_role role;
  std::string bucket;

  std::unique_ptr<auth::aws_source> operator()(const aws_session& session) const {
    auto limited = role;
    const auto partition = std::string_view(role.arn).substr(4, role.arn.find(':', 4) - 4);
    limited.policy = session.manages_policy
                         ? auth::s3_manager_policy(bucket, partition)
                         : auth::s3_session_policy(bucket, session.prefix, partition, session.source_address);
    if (from == "webIdentity")
      return auth::make_assume_role_with_web_identity(transport, sts, std::move(limited), folders, web_file);
    return auth::make_assume_role(transport, clock, sts, std::move(limited), base());
  }

  std::unique_ptr<auth::aws_source> base() const {
    if (from == "instance") return auth::make_aws_instance(*metadata);
    if (from == "container")
      return auth::make_aws_container(*metadata, auth::aws_container::from_environment(), folders);
    return auth::make_static_aws(keys);
  }
};

}  // namespace

result<aws_keys> aws_keys_of(const option_values& options, const driver_context& context, const bucket_place& where,
                             const std::string& region, const std::string& provider_sts, made_driver& made) {
  const auto web_file = options.text("webIdentityTokenFile");
  auto from = options.text("credentials");
  if (from.empty()) from = web_file.empty() ? "static" : "webIdentity";
  const bool is_static = from == "static", is_web = from == "webIdentity";
  if (!is_static && !is_web && from != "instance" && from != "container")
    return fail(errc::invalid_argument, "credentials", "must be static, instance, container or webIdentity");
  for (const std::string_view field : {"accessKeyId", "secretAccessKey", "sessionToken"})
    if (!is_static && options.has(field))
      return fail(errc::invalid_argument, std::string(field), "is for static credentials only: leave it out");
  if (is_web == web_file.empty())
    return fail(errc::invalid_argument, "webIdentityTokenFile", "goes together with credentials webIdentity");
  for (const std::string_view field :
       {"externalId", "roleSessionName", "stsEndpoint", "sessionPerDevice", "denyOlderSessions"})
    if (options.has(field) && !options.has("roleArn"))
      return fail(errc::invalid_argument, "roleArn", fmt::format("is missing: {} says something about a role", field));
  if (is_web && !options.has("roleArn"))
    return fail(errc::invalid_argument, "roleArn", "is missing: which role does the web identity assume?");

  if (!is_static && !is_web && !context.metadata)
    return fail(errc::invalid_argument, "credentials", "this program reaches no metadata service");
  if (is_web) {
    if (auto ok = context.token_folders.check(web_file); !ok)
      return fail(std::move(ok.error()).at("webIdentityTokenFile"));
  }

  role_sessions sessions{
      context.transport, context.clock, context.metadata, context.token_folders, from, web_file, {}, {}, {},
      where.bucket};
  if (is_static) {
    TRY(auto given, bucket_keys_of(options));
    sessions.keys = {std::move(given.id), std::move(given.key), std::move(given.token)};
  }
  aws_keys keys;
  if (!options.has("roleArn")) {
    if (is_static)
      keys.given = std::move(sessions.keys);
    else
      keys.fetched = sessions.base();
    return keys;
  }
  sessions.role.arn = options.text("roleArn");
  sessions.role.session = options.has("roleSessionName") ? options.text("roleSessionName") : "openevp";
  sessions.role.external_id = options.text("externalId");
  CHECK(auth::check_role(sessions.role));
  TRY(sessions.sts, sts_of(options, context, where, region, provider_sts, made));
  keys.role_arn = sessions.role.arn;
  keys.fetched = sessions({});
  keys.narrowed = std::move(sessions);
  return keys;
}

}  // namespace evp::storage
