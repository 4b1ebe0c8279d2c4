// A policy: which storage devices may use, for what, under which names and up to which limits. Rules only: no memory,
// no database.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/object_names.h"
#include "storage/driver.h"
#include "wire/messages.h"

namespace evp::backend {

/// Where a policy stands. Of a field that several state the last of these counts.
enum class policy_scope { tenant, group, device };
inline constexpr std::array<std::string_view, 3> policy_scope_names{"tenant", "group", "device"};
std::string_view to_string(policy_scope s) noexcept;

/// The body of PUT. Nothing: not stated here. Lists have an entry at least.
struct policy {
  std::optional<std::string> default_storage;  ///< for requests that name none; else the one named "default"
  std::optional<std::vector<std::string>> storages;
  std::optional<std::vector<std::string>> operations;     ///< "put", "get"
  std::optional<std::string> name_template;               ///< instead of the storage access service's
  std::optional<std::uint64_t> max_size;                  ///< bytes of a file
  std::optional<std::vector<std::string>> content_types;  ///< "image/jpeg", "image/*"
  std::optional<std::uint64_t> grants_per_minute;
  std::optional<std::uint64_t> bytes_per_day;  ///< of uploads, from midnight UTC
};

struct policy_limits {
  static constexpr std::size_t storages = 64, content_types = 32, content_type_bytes = 255;
  static constexpr std::uint64_t grants_per_minute = 1'000'000;
  static constexpr std::uint64_t bytes = std::uint64_t(1) << 60;  ///< of a file and of a day
};

/// Names of the fields, as in REST; also the field() of a refusal by policy, and what metrics count.
namespace policy_field {
inline constexpr std::string_view default_storage = "defaultStorage", storages = "storages", operations = "operations",
                                  name_template = "nameTemplate", max_size = "maxSize", content_types = "contentTypes",
                                  grants_per_minute = "grantsPerMinute", bytes_per_day = "bytesPerDay";
inline constexpr std::array all{default_storage, storages,      operations,        name_template,
                                max_size,        content_types, grants_per_minute, bytes_per_day};
}  // namespace policy_field

/// Checks all fields. `has_storage` tells whether the tenant has a storage access service of that name. Errors:
/// invalid_argument at the field.
result<void> check_policy(const policy& p, const std::function<bool(const std::string& name)>& has_storage);

/// What counts for one device, and where each field of it was stated.
struct effective_policy {
  policy fields;
  std::vector<std::pair<std::string_view, policy_scope>> sources;  ///< in the order of policy_field::all
};
/// `stated`: by policy_scope; null: there is none.
effective_policy merge_policies(const std::array<const policy*, 3>& stated);

// ---- judging a request; refusals have the policy's field as theirs ----

/// Which storage a request means: the one that it names, else the policy's; nothing: the one named "default".
std::optional<std::string> storage_of(const policy& p, const std::optional<std::string>& asked);

/// Errors: permission_denied (storages, operations).
result<void> judge_storage(const policy& p, const std::optional<std::string>& storage, wire::blob_operation op);

/// What the storage must hold an upload to, and the count of it.
struct upload_bounds {
  std::optional<std::uint64_t> max_size;  ///< by the policy
  std::string content_type;               ///< of the object; empty: any
  std::uint64_t quota_bytes = 0;          ///< of bytesPerDay; 0 where that is not stated
};
/// `service_max_size` and `service_fields` are the storage access service's own bounds and headers. A type that nobody
/// states is the policy's first. Errors: too_large (maxSize, or more than bytesPerDay at once), permission_denied
/// (contentTypes), invalid_argument (contentTypes, bytesPerDay: the request states too little).
result<upload_bounds> judge_upload(const policy& p, const wire::storage_token_request& r,
                                   const std::optional<std::uint64_t>& service_max_size,
                                   const http::headers& service_fields);

}  // namespace evp::backend
