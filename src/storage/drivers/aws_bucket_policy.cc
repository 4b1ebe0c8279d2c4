#include "storage/drivers/aws_bucket_policy.h"

#include <boost/json.hpp>

#include "base/crypto.h"
#include "base/encoding.h"

namespace evp::storage {
namespace {

namespace json = boost::json;

constexpr std::size_t policy_max_bytes = 20 << 10;  // of a bucket
constexpr std::size_t sid_digits = 16;

/// Letters and digits only; one a role.
std::string sid_of(std::string_view role_arn) { return "OpenEVP" + to_hex(sha256(role_arn)).substr(0, sid_digits); }

std::string_view partition_of(std::string_view role_arn) {
  const auto from = role_arn.find(':') + 1;
  return role_arn.substr(from, role_arn.find(':', from) - from);
}

json::object denial(std::string_view role_arn, std::string_view bucket, timestamp before) {
  const auto arn = "arn:" + std::string(partition_of(role_arn)) + ":s3:::" + std::string(bucket);
  return {{"Sid", sid_of(role_arn)},
          {"Effect", "Deny"},
          {"Principal", {{"AWS", role_arn}}},
          {"Action", "s3:*"},
          {"Resource", json::array{arn, arn + "/*"}},
          {"Condition", {{"DateLessThan", {{"aws:TokenIssueTime", format_rfc3339_seconds(before)}}}}}};
}

tl::unexpected<error> not_understood() {
  return fail(errc::data_corrupt, "the bucket's policy is not understood: it stays as it is");
}

}  // namespace

result<std::string> with_older_sessions_denied(std::string_view policy, std::string_view role_arn,
                                               std::string_view bucket, timestamp before) {
  json::object whole{{"Version", "2012-10-17"}};
  json::array statements;
  if (!policy.empty()) {
    boost::system::error_code ec;
    auto read = json::parse(policy, ec);
    if (ec || !read.is_object()) return not_understood();
    whole = std::move(read.get_object());
    auto& given = whole["Statement"];
    if (given.is_array())
      statements = std::move(given.get_array());
    else if (given.is_object())
      statements.push_back(std::move(given));
    else
      return not_understood();
  }
  const auto sid = sid_of(role_arn);
  for (auto at = statements.begin(); at != statements.end();) {
    const auto* const of = at->is_object() ? at->get_object().if_contains("Sid") : nullptr;
    at = of && of->is_string() && of->get_string() == sid ? statements.erase(at) : at + 1;
  }
  statements.push_back(denial(role_arn, bucket, before));
  whole["Statement"] = std::move(statements);
  auto out = json::serialize(whole);
  if (out.size() > policy_max_bytes) return fail(errc::too_large, "the bucket's policy would have more than 20 KB");
  return out;
}

}  // namespace evp::storage
