#include "auth/credentials/aws_sts.h"

#include <fmt/format.h>

#include <pugixml.hpp>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::auth {
namespace {

constexpr std::string_view issuer = "AWS STS";
constexpr std::string_view api_version = "2011-06-15";
constexpr std::size_t external_id_min = 2, external_id_max = 1224, arn_min = 20, arn_max = 2048;

bool all_of(std::string_view text, std::string_view beside_alphanumerics) {
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!plain && beside_alphanumerics.find(c) == std::string_view::npos) return false;
  }
  return true;
}

std::string error_code_of(const std::string& body) {
  pugi::xml_document doc;
  if (!doc.load_buffer(body.data(), body.size())) return {};
  return doc.select_node("//*[local-name()='Error']/*[local-name()='Code'] | /*[local-name()='Code']")
      .node()
      .text()
      .as_string();
}

result<expiring<aws_credentials>> read_credentials(const std::string& body) {
  pugi::xml_document doc;
  const bool readable = bool(doc.load_buffer(body.data(), body.size()));
  const auto found = doc.select_node("//*[local-name()='Credentials']").node();
  expiring<aws_credentials> out;
  out.value.access_key_id = found.child_value("AccessKeyId");
  out.value.secret_access_key = secret(found.child_value("SecretAccessKey"));
  out.value.session_token = secret(found.child_value("SessionToken"));
  const auto expires = parse_rfc3339(found.child_value("Expiration"));
  if (!readable || out.value.access_key_id.empty() || out.value.secret_access_key.empty() ||
      out.value.session_token.empty() || !expires)
    return fail(errc::unavailable, "the answer of AWS STS holds no credentials: check that stsEndpoint leads to it");
  out.expires_at = *expires;
  return out;
}

form role_form(std::string_view action, const aws_role& role) {
  form f{{"Action", std::string(action)},
         {"Version", std::string(api_version)},
         {"RoleArn", role.arn},
         {"RoleSessionName", role.session},
         {"DurationSeconds", std::to_string(role.duration.count())}};
  if (!role.external_id.empty()) f.emplace_back("ExternalId", role.external_id);
  if (!role.policy.empty()) f.emplace_back("Policy", role.policy);
  return f;
}

http::request sts_request(const sts_endpoint& at, const form& fields) {
  auto r = form_request(at.origin + "/", fields, at.ca_pem);
  r.fields[0] = {"Accept", "application/xml"};
  return r;
}

io::task<result<expiring<aws_credentials>>> exchange(http::transport& transport, http::request r, std::string advice) {
  CO_TRY(const auto answer, co_await transport.send(std::move(r)));
  if (answer.status != 200) co_return fail(refusal(answer, issuer, error_code_of(answer.body), advice));
  co_return read_credentials(answer.body);
}

class static_keys final : public aws_source {
 public:
  explicit static_keys(aws_credentials keys) : keys_(std::move(keys)) {}
  io::task<result<expiring<aws_credentials>>> fetch() override {
    expiring<aws_credentials> out{keys_, timestamp::max()};
    co_return out;
  }

 private:
  aws_credentials keys_;
};

class assumed_role final : public aws_source {
 public:
  assumed_role(http::transport& t, const io::clock& c, sts_endpoint at, aws_role role, std::unique_ptr<aws_source> base)
      : transport_(t), clock_(c), at_(std::move(at)), role_(std::move(role)), base_(std::move(base)) {}

  io::task<result<expiring<aws_credentials>>> fetch() override {
    CO_TRY(auto base, co_await base_->fetch());
    auto r = sts_request(at_, role_form("AssumeRole", role_));
    const auto colon = at_.origin.find("://");
    sigv4_request wanted;
    wanted.method = "POST";
    wanted.scheme = at_.origin.substr(0, colon);
    wanted.authority = at_.origin.substr(colon + 3);
    wanted.fields.push_back(r.fields[1]);  // Content-Type
    const sigv4_signer signer(std::move(base.value), at_.region, "sts");
    const auto payload = to_hex(sha256(std::get<std::string>(r.body)));
    auto signed_fields = signer.sign_headers(wanted, clock_.now(), payload);
    for (auto& f : signed_fields) {
      bool there = false;
      for (const auto& g : r.fields) there = there || http::same_name(f.name, g.name);
      if (!there) r.fields.push_back(std::move(f));
    }
    auto outcome =
        co_await exchange(transport_, std::move(r), "check the keys, roleArn, externalId and the role's trust policy");
    co_return outcome;
  }

 private:
  http::transport& transport_;
  const io::clock& clock_;
  sts_endpoint at_;
  aws_role role_;
  std::unique_ptr<aws_source> base_;
};

class web_identity_role final : public aws_source {
 public:
  web_identity_role(http::transport& t, sts_endpoint at, aws_role role, token_folders folders, io::fs::path file)
      : transport_(t),
        at_(std::move(at)),
        role_(std::move(role)),
        folders_(std::move(folders)),
        file_(std::move(file)) {}

  io::task<result<expiring<aws_credentials>>> fetch() override {
    CO_TRY(const auto token, folders_.read(file_));
    auto f = role_form("AssumeRoleWithWebIdentity", role_);
    f.emplace_back("WebIdentityToken", token.reveal());
    auto r = sts_request(at_, f);
    auto outcome = co_await exchange(transport_, std::move(r),
                                     "check roleArn, the role's trust policy and the token's issuer and audience");
    co_return outcome;
  }

 private:
  http::transport& transport_;
  sts_endpoint at_;
  aws_role role_;
  token_folders folders_;
  io::fs::path file_;
};

}  // namespace

result<void> check_role(const aws_role& role) {
  // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_RequestParameters
  if (role.arn.size() < arn_min || role.arn.size() > arn_max || !role.arn.starts_with("arn:") ||
      role.arn.find(":role/") == std::string::npos || !all_of(role.arn, ":/_+=,.@-"))
    return fail(errc::invalid_argument, "roleArn", "must be a role's ARN such as arn:aws:iam::123456789012:role/fleet");
  if (role.session.size() < 2 || role.session.size() > 64 || !all_of(role.session, "_+=,.@-"))
    return fail(errc::invalid_argument, "roleSessionName", "must have 2 to 64 characters A-Z a-z 0-9 _ + = , . @ -");
  if (!role.external_id.empty() &&
      (role.external_id.size() < external_id_min || role.external_id.size() > external_id_max ||
       !all_of(role.external_id, "_+=,.@:/-")))
    return fail(errc::invalid_argument, "externalId", "must have 2 to 1,224 characters A-Z a-z 0-9 _ + = , . @ : / -");
  return {};
}

std::string s3_session_policy(std::string_view bucket, std::string_view prefix, std::string_view partition,
                              std::string_view source_address) {
  const auto arn = fmt::format("arn:{}:s3:::{}", partition, bucket);
  const auto condition = source_address.empty() ? std::string()
                                                : fmt::format(R"(,"Condition":{{"IpAddress":{{"aws:SourceIp":{}}}}})",
                                                              json_text(source_address));
  return fmt::format(
      R"({{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject","s3:DeleteObject",)"
      R"("s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":{0}{2}}},)"
      R"({{"Effect":"Allow","Action":["s3:ListBucket","s3:CreateBucket"],"Resource":{1}{2}}}]}})",
      json_text(arn + "/" + std::string(prefix) + "*"), json_text(arn), condition);
}

std::string s3_manager_policy(std::string_view bucket, std::string_view partition) {
  return fmt::format(
      R"({{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:GetBucketPolicy","s3:PutBucketPolicy"],"Resource":{}}}]}})",
      json_text(fmt::format("arn:{}:s3:::{}", partition, bucket)));
}

std::unique_ptr<aws_source> make_static_aws(aws_credentials keys) {
  return std::make_unique<static_keys>(std::move(keys));
}

std::unique_ptr<aws_source> make_assume_role(http::transport& transport, const io::clock& clock, sts_endpoint at,
                                             aws_role role, std::unique_ptr<aws_source> base) {
  return std::make_unique<assumed_role>(transport, clock, std::move(at), std::move(role), std::move(base));
}

std::unique_ptr<aws_source> make_assume_role_with_web_identity(http::transport& transport, sts_endpoint at,
                                                               aws_role role, token_folders folders,
                                                               io::fs::path token_file) {
  return std::make_unique<web_identity_role>(transport, std::move(at), std::move(role), std::move(folders),
                                             std::move(token_file));
}

}  // namespace evp::auth
