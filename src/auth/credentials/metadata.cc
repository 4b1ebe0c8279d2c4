#include "auth/credentials/metadata.h"

#include <algorithm>
#include <cstdlib>

#include "base/encoding.h"

namespace evp::auth {
namespace {

constexpr std::string_view machine = "http://169.254.169.254";  // AWS, Azure and Google alike
constexpr std::string_view ecs = "http://169.254.170.2";        // Amazon ECS
constexpr std::string_view eks = "http://169.254.170.23";       // Amazon EKS Pod Identity, IPv4
constexpr std::string_view eks_v6 = "http://[fd00:ec2::23]";    // and IPv6
constexpr std::string_view services[] = {machine, ecs, eks, eks_v6};

constexpr std::string_view instance_advice = "attach an instance profile with a role to this machine";
constexpr std::size_t name_max = 256;
constexpr std::size_t small_answer = 64 * 1024;

http::request get(std::string_view origin, std::string_view target) {
  auto r = issuer_request("GET", std::string(origin) + std::string(target));
  r.connect_timeout = milliseconds(2'000);  // where there is no such service nobody answers at all
  r.max_response_bytes = small_answer;
  return r;
}

/// A name that is put into the next URL: one path segment of harmless characters.
bool is_plain_name(std::string_view s) {
  const auto ok = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("_+=,.@-").find(c) != std::string_view::npos;
  };
  return !s.empty() && s.size() <= name_max && s.find_first_not_of('.') != s.npos &&
         std::all_of(s.begin(), s.end(), ok);
}

/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
result<expiring<aws_credentials>> read_aws(const http::response& answer, std::string_view issuer) {
  if (answer.status != 200) return fail(refusal(answer, issuer, "", instance_advice));
  TRY(const auto fields, issuer_fields::parse(answer.body, issuer));
  const auto code = fields.text_or_empty("Code");
  if (!code.empty() && code != "Success")
    return fail(errc::permission_denied, std::string(issuer) + " gives no credentials: check the role it has");
  expiring<aws_credentials> out;
  TRY(out.value.access_key_id, fields.text("AccessKeyId"));
  TRY(auto key, fields.text("SecretAccessKey"));
  TRY(auto token, fields.text("Token"));
  out.value.secret_access_key = secret(std::move(key));
  out.value.session_token = secret(std::move(token));
  TRY(const auto text, fields.text("Expiration"));
  TRY(out.expires_at, parse_rfc3339(text));
  return out;
}

class aws_instance final : public aws_source {
 public:
  explicit aws_instance(http::transport& t) : transport_(t) {}

  io::task<result<expiring<aws_credentials>>> fetch() override {
    auto opening = get(machine, "/latest/api/token");
    opening.method = "PUT";
    opening.fields.push_back({"X-aws-ec2-metadata-token-ttl-seconds", "300"});
    opening.body = std::string();
    CO_TRY(const auto opened, co_await transport_.send(std::move(opening)));
    if (opened.status != 200) co_return fail(refusal(opened, issuer, "", "enable IMDSv2 on this instance"));
    const http::header session{"X-aws-ec2-metadata-token", opened.body};
    if (opened.body.empty() || has_control_characters(opened.body) || opened.body.size() > name_max)
      co_return fail(errc::unavailable, "the instance metadata service gave no session token");

    const std::string roles = "/latest/meta-data/iam/security-credentials/";
    auto listing = get(machine, roles);
    listing.fields.push_back(session);
    CO_TRY(const auto listed, co_await transport_.send(std::move(listing)));
    if (listed.status != 200) co_return fail(refusal(listed, issuer, "", instance_advice));
    const auto role = listed.body.substr(0, listed.body.find('\n'));
    if (!is_plain_name(role)) co_return fail(errc::unavailable, "the instance metadata service names no role");

    auto asking = get(machine, roles + role);
    asking.fields.push_back(session);
    CO_TRY(const auto answer, co_await transport_.send(std::move(asking)));
    co_return read_aws(answer, issuer);
  }

 private:
  static constexpr std::string_view issuer = "the instance metadata service";
  http::transport& transport_;
};

class container_role final : public aws_source {
 public:
  container_role(http::transport& t, aws_container where, token_folders folders)
      : transport_(t), where_(std::move(where)), folders_(std::move(folders)) {}

  io::task<result<expiring<aws_credentials>>> fetch() override {
    const bool on_ecs = !where_.relative_uri.empty();
    if (!on_ecs && where_.full_uri.empty())
      co_return fail(errc::failed_precondition,
                     "this process runs in no container with a role: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
                     "AWS_CONTAINER_CREDENTIALS_FULL_URI are not set");
    if (on_ecs && !where_.relative_uri.starts_with('/'))
      co_return fail(errc::failed_precondition, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
    auto r = on_ecs ? get(ecs, where_.relative_uri) : get(where_.full_uri, "");
    if (!on_ecs && !where_.token_file.empty()) {
      CO_TRY(const auto token, folders_.read(where_.token_file));
      r.fields.push_back({"Authorization", token.reveal()});
    }
    CO_TRY(const auto answer, co_await transport_.send(std::move(r)));
    co_return read_aws(answer, "the container credentials endpoint");
  }

 private:
  http::transport& transport_;
  aws_container where_;
  token_folders folders_;
};

class managed_identity final : public token_source {
 public:
  managed_identity(http::transport& t, const io::clock& c, std::string resource, std::string client_id)
      : transport_(t), clock_(c), resource_(std::move(resource)), client_id_(std::move(client_id)) {}

  io::task<result<expiring<secret>>> fetch() override {
    auto target = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=" + percent_encode(resource_);
    if (!client_id_.empty()) target += "&client_id=" + percent_encode(client_id_);
    auto r = get(machine, target);
    r.fields.push_back({"Metadata", "true"});
    auto outcome = co_await fetch_access_token(transport_, clock_, std::move(r), "Azure's metadata service",
                                               "assign a managed identity to this machine and check clientId");
    co_return outcome;
  }

 private:
  http::transport& transport_;
  const io::clock& clock_;
  std::string resource_, client_id_;
};

constexpr std::string_view gcp_account = "/computeMetadata/v1/instance/service-accounts/default/";

http::request gcp_get(std::string_view what) {
  auto r = get(machine, std::string(gcp_account) + std::string(what));
  r.fields.push_back({"Metadata-Flavor", "Google"});
  return r;
}

class gcp_machine final : public token_source {
 public:
  gcp_machine(http::transport& t, const io::clock& c) : transport_(t), clock_(c) {}
  io::task<result<expiring<secret>>> fetch() override {
    auto r = gcp_get("token");
    auto outcome =
        co_await fetch_access_token(transport_, clock_, std::move(r), "Google's metadata server",
                                    "attach a service account with the cloud-platform scope to this machine");
    co_return outcome;
  }

 private:
  http::transport& transport_;
  const io::clock& clock_;
};

std::string environment(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}

}  // namespace

io::task<result<http::response>> metadata_transport::send(http::request r) {
  const auto& url = r.url.reveal();
  const bool known = std::any_of(std::begin(services), std::end(services), [&](std::string_view s) {
    return url.starts_with(s) && url.size() > s.size() && url[s.size()] == '/';
  });
  if (!known) co_return fail(errc::permission_denied, "this is no metadata service that OpenEVP knows");
  auto outcome = co_await inner_.send(std::move(r));
  co_return outcome;
}

std::unique_ptr<aws_source> make_aws_instance(http::transport& metadata) {
  return std::make_unique<aws_instance>(metadata);
}

aws_container aws_container::from_environment() {
  return {environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), environment("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
          environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")};
}

std::unique_ptr<aws_source> make_aws_container(http::transport& metadata, aws_container where, token_folders folders) {
  return std::make_unique<container_role>(metadata, std::move(where), std::move(folders));
}

std::unique_ptr<token_source> make_azure_managed_identity(http::transport& metadata, const io::clock& clock,
                                                          std::string resource, std::string client_id) {
  return std::make_unique<managed_identity>(metadata, clock, std::move(resource), std::move(client_id));
}

std::unique_ptr<token_source> make_gcp_machine(http::transport& metadata, const io::clock& clock) {
  return std::make_unique<gcp_machine>(metadata, clock);
}

io::task<result<std::string>> gcp_machine_account(http::transport& metadata) {
  auto r = gcp_get("email");
  CO_TRY(const auto answer, co_await metadata.send(std::move(r)));
  if (answer.status != 200 || !is_plain_name(answer.body))
    co_return fail(refusal(answer, "Google's metadata server", "", "attach a service account to this machine"));
  co_return answer.body;
}

}  // namespace evp::auth
