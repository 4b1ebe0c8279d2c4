// Who offers storage that speaks S3, and in what they differ from Amazon: data, not code.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "storage/driver.h"

namespace evp::storage {

/// Who may sign POST forms with a policy. With the session policy of a role Ceph RGW 16.2 answers 204 and stores
/// nothing.
enum class s3_forms { none, own_keys, roles_too };

/// One provider, or one server software. What is not known for certain about it is not declared: a bound less costs
/// little, a bound that is ignored costs trust.
struct s3_provider {
  std::string_view name;         ///< as the option `provider` spells it: "cloudflare-r2"
  std::string_view host_suffix;  ///< an endpoint's host that ends so is recognised; empty: the option must name it
  std::string_view endpoint;     ///< with "{region}"; empty: the user gives it
  std::string_view region;       ///< the default; empty: the user gives it
  std::string_view sts;          ///< token service for roles, with "{region}"; empty: the endpoint itself
  bool bucket_hosts = false;     ///< the bucket in the host by default, not in the path
  bool https_only = false;
  bool names_region = false;    ///< a new bucket names its region in a LocationConstraint
  bool create_only = false;     ///< refuses If-None-Match: * for an object that is there
  bool issue_times = false;     ///< a bucket's policy can deny sessions by the time of their issue
  bool payload_sha256 = false;  ///< checks a signed x-amz-content-sha256
  s3_forms forms = s3_forms::none;
  std::string_view source;  ///< the page that says so, or how it was tried
};

/// All of them; the last is "other", for endpoints that nobody knows.
std::span<const s3_provider> s3_providers();

/// The provider of that name; without one, that of the endpoint's host ("s3.fr-par.scw.cloud"); without both Amazon.
/// Errors: invalid_argument at "provider", naming those there are.
result<const s3_provider*> s3_provider_of(std::string_view name, std::string_view host);

/// The text with every "{region}" replaced.
std::string with_region(std::string_view text, std::string_view region);

}  // namespace evp::storage
