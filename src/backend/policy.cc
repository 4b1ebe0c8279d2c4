#include "backend/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr std::string_view default_name = "default";

tl::unexpected<error> bad(std::string_view field, std::string_view what) {
  return fail(errc::invalid_argument, std::string(field), fmt::format("{} {}", field, what));
}

template <class T>
bool holds(const std::vector<T>& all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

result<void> check_list(std::string_view field, const std::vector<std::string>& all, std::size_t most) {
  if (all.empty() || all.size() > most)
    return bad(field, fmt::format("must have 1 to {} entries; leave it out for no bound", most));
  for (auto at = all.begin(); at != all.end(); ++at)
    if (std::find(at + 1, all.end(), *at) != all.end())
      return bad(field, fmt::format("has \"{}\" twice", at->substr(0, 64)));
  return {};
}

result<void> check_number(std::string_view field, const std::optional<std::uint64_t>& n, std::uint64_t most) {
  if (n && (*n < 1 || *n > most)) return bad(field, fmt::format("must be 1 to {}", most));
  return {};
}

/// RFC 6838, 4.2: restricted-name.
bool is_type_name(std::string_view text) {
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && text.size() <= 127 && is_letter_or_digit(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter_or_digit(c) || std::string_view("!#$&-^_.+").find(c) != std::string_view::npos;
         });
}

bool is_content_type(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return false;
  const auto sub = text.substr(slash + 1);
  return is_type_name(text.substr(0, slash)) && (sub == "*" || is_type_name(sub));
}

/// "image/jpeg" of "Image/JPEG; q=1".
std::string plain_type(std::string_view text) {
  text = text.substr(0, text.find(';'));
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return out;
}

bool allows(const std::vector<std::string>& types, std::string_view text) {
  const bool is_printable = std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  const auto wanted = plain_type(text);
  return is_printable && is_content_type(wanted) && std::any_of(types.begin(), types.end(), [&](const auto& t) {
           const auto one = plain_type(t);
           return one.ends_with("/*") ? wanted.starts_with(one.substr(0, one.size() - 1)) : wanted == one;
         });
}

/// The type that the grant is to give the object; empty: whatever the service's headers say, or nothing.
result<std::string> judge_type(const std::vector<std::string>& types, const std::optional<std::string>& stated,
                               std::string_view of_service) {
  const auto field = policy_field::content_types;
  const auto refuse = [&](std::string_view type) {
    return fail(errc::permission_denied, std::string(field),
                fmt::format("files of type {} are not allowed to this device, only {}", type.substr(0, 64),
                            fmt::join(types, ", ")));
  };
  if (!of_service.empty()) {  // the storage keeps that, whatever the device says
    if (!allows(types, of_service)) return refuse(of_service);
    return std::string();
  }
  if (stated && !stated->empty()) {
    if (!allows(types, *stated)) return refuse(*stated);
    return *stated;
  }
  const auto first = std::find_if(types.begin(), types.end(), [](const auto& t) { return !t.ends_with("/*"); });
  if (first != types.end()) return *first;
  return bad(field,
             "allows this device files of certain types only: state the file's contentType, or have the operator name "
             "a whole type first");
}

}  // namespace

std::string_view to_string(policy_scope s) noexcept { return policy_scope_names[std::size_t(s)]; }

result<void> check_policy(const policy& p, const std::function<bool(const std::string& name)>& has_storage) {
  namespace f = policy_field;
  const auto check_storage = [&](std::string_view field, const std::string& name) -> result<void> {
    if (auto ok = check_name(name, field); !ok) return fail(std::move(std::move(ok).error()).at(std::string(field)));
    if (!has_storage(name))
      return bad(field, fmt::format("names a storage access service that is not there: {}", name));
    return {};
  };
  if (p.default_storage) CHECK(check_storage(f::default_storage, *p.default_storage));
  if (p.storages) {
    CHECK(check_list(f::storages, *p.storages, policy_limits::storages));
    for (const auto& name : *p.storages) CHECK(check_storage(f::storages, name));
    if (p.default_storage && !holds(*p.storages, *p.default_storage))
      return bad(f::default_storage, "must be one of storages");
  }
  if (p.operations) {
    CHECK(check_list(f::operations, *p.operations, 2));
    for (const auto& o : *p.operations)
      if (o != "put" && o != "get") return bad(f::operations, "must be of \"put\" and \"get\"");
  }
  if (p.name_template) CHECK(object_name_template::parse(*p.name_template, f::name_template));
  if (p.content_types) {
    CHECK(check_list(f::content_types, *p.content_types, policy_limits::content_types));
    for (const auto& t : *p.content_types)
      if (!is_content_type(t))
        return bad(f::content_types, "must be of types like \"image/jpeg\" and \"image/*\", without parameters");
  }
  CHECK(check_number(f::max_size, p.max_size, policy_limits::bytes));
  CHECK(check_number(f::grants_per_minute, p.grants_per_minute, policy_limits::grants_per_minute));
  return check_number(f::bytes_per_day, p.bytes_per_day, policy_limits::bytes);
}

effective_policy merge_policies(const std::array<const policy*, 3>& stated) {
  effective_policy out;
  const auto take = [&](std::string_view name, auto field) {
    for (std::size_t i = stated.size(); i-- > 0;) {
      if (!stated[i] || !(stated[i]->*field)) continue;
      out.fields.*field = stated[i]->*field;
      out.sources.emplace_back(name, policy_scope(i));
      return;
    }
  };
  namespace f = policy_field;
  take(f::default_storage, &policy::default_storage);
  take(f::storages, &policy::storages);
  take(f::operations, &policy::operations);
  take(f::name_template, &policy::name_template);
  take(f::max_size, &policy::max_size);
  take(f::content_types, &policy::content_types);
  take(f::grants_per_minute, &policy::grants_per_minute);
  take(f::bytes_per_day, &policy::bytes_per_day);
  return out;
}

std::optional<std::string> storage_of(const policy& p, const std::optional<std::string>& asked) {
  return asked && !asked->empty() ? asked : p.default_storage;
}

result<void> judge_storage(const policy& p, const std::optional<std::string>& storage, wire::blob_operation op) {
  const auto refuse = [](std::string_view field, std::string message) {
    return fail(errc::permission_denied, std::string(field), std::move(message));
  };
  const std::string_view name = storage ? std::string_view(*storage) : default_name;
  if (p.storages && !holds(*p.storages, name))
    return refuse(policy_field::storages, fmt::format("this device may not use the storage \"{}\", only {}",
                                                      name.substr(0, 64), fmt::join(*p.storages, ", ")));
  const std::string_view wanted = op == wire::blob_operation::get ? "get" : "put";
  if (p.operations && !holds(*p.operations, wanted))
    return refuse(policy_field::operations, fmt::format("this device may {} only", p.operations->front()));
  return {};
}

result<upload_bounds> judge_upload(const policy& p, const wire::storage_token_request& r,
                                   const std::optional<std::uint64_t>& service_max_size,
                                   const http::headers& service_fields) {
  upload_bounds out;
  if (r.operation != wire::blob_operation::put) return out;
  out.max_size = p.max_size;
  if (p.max_size && r.size && *r.size > *p.max_size)
    return fail(errc::too_large, std::string(policy_field::max_size),
                fmt::format("this device may send at most {} bytes in a file", *p.max_size));
  if (p.content_types) {
    TRY(out.content_type, judge_type(*p.content_types, r.content_type, http::find(service_fields, "Content-Type")));
  }
  if (!p.bytes_per_day) return out;
  const std::string field(policy_field::bytes_per_day);
  if (!r.size && !p.max_size && !service_max_size)
    return fail(errc::invalid_argument, field,
                "this device's bytes are counted: state the file's size, or have the operator set maxSize in its "
                "policy, which then counts for each file of unknown size");
  out.quota_bytes = r.size ? *r.size : std::min(p.max_size.value_or(UINT64_MAX), service_max_size.value_or(UINT64_MAX));
  if (out.quota_bytes > *p.bytes_per_day)
    return fail(errc::too_large, field,
                fmt::format("{} bytes are more than the {} that this device may send in a day", out.quota_bytes,
                            *p.bytes_per_day));
  return out;
}

}  // namespace evp::backend
