// The table of driver types, and the values of their options.
#include "storage/drivers/drivers.h"

#include "base/encoding.h"

namespace evp::storage {
namespace {

std::span<const driver_type> table() {
  static const driver_type types[] = {
      {"AWS", aws_options(), make_aws},
      {"AZURE", azure_options(), make_azure},
      {"GCP", gcp_options(), make_gcp},
      {"ALIBABA_OSS", alibaba_oss_options(), make_alibaba_oss},
      {"TENCENT_COS", tencent_cos_options(), make_tencent_cos},
      {"HUAWEI_OBS", huawei_obs_options(), make_huawei_obs},
      {"VOLCENGINE_TOS", volcengine_tos_options(), make_volcengine_tos},
      {"BAIDU_BOS", baidu_bos_options(), make_baidu_bos},
      {"B2", b2_options(), make_b2},
      {"OCI", oci_options(), make_oci},
      {"QINIU", qiniu_options(), make_qiniu},
      {"HTTP", http_options(), make_http},
      {"LOCAL", local_options(), make_local},
      {"SWIFT", swift_options(), make_swift},
      {"WEBHOOK", webhook_options(), make_webhook},
  };
  return types;
}

tl::unexpected<error> no_parts() { return fail(errc::unsupported, "this storage takes no uploads in parts"); }

}  // namespace

void option_values::set(std::string name, secret text, bool is_secret) {
  for (auto& v : values_) {
    if (v.name != name) continue;
    v.text = std::move(text);
    v.is_secret = is_secret;
    return;
  }
  values_.push_back({std::move(name), std::move(text), is_secret});
}

const secret& option_values::get(std::string_view name) const {
  static const secret none;
  for (const auto& v : values_)
    if (v.name == name) return v.text;
  return none;
}

bool option_values::has(std::string_view name) const { return !get(name).empty(); }

std::span<const driver_type> driver_types() { return table(); }

std::span<const bound_name> bound_names() {
  static constexpr bound_name names[] = {
      {bound::object, "object"},
      {bound::prefix, "prefix"},
      {bound::method, "method"},
      {bound::expiry, "expiry"},
      {bound::size, "size"},
      {bound::max_size, "maxSize"},
      {bound::content_type, "contentType"},
      {bound::sha256, "sha256"},
      {bound::create_only, "createOnly"},
      {bound::source_address, "sourceAddress"},
      {bound::https_only, "httpsOnly"},
  };
  return names;
}

signed_request with_name(signed_request grant, std::string_view object) {
  using slot = signed_request::name_slot;
  auto& text = grant.slot == slot::body ? grant.body_prefix : grant.url;
  if (grant.slot == slot::none) return grant;
  const auto name = grant.slot == slot::url ? percent_encode(object, true) : std::string(object);
  text = secret(text.reveal() + name + grant.after_name.reveal());
  grant.slot = slot::none;
  grant.after_name = {};
  return grant;
}

io::task<result<std::string>> driver::begin_parts(sign_spec) { co_return no_parts(); }
io::task<result<signed_request>> driver::sign_part(sign_spec, std::string, part_place) { co_return no_parts(); }
io::task<result<std::vector<stored_part>>> driver::list_parts(std::string, std::string) { co_return no_parts(); }
io::task<result<void>> driver::commit_parts(sign_spec, std::string, std::vector<stored_part>) { co_return no_parts(); }
io::task<result<void>> driver::abort_parts(std::string, std::string) { co_return no_parts(); }

io::task<result<void>> driver::end_grants() {
  co_return fail(
      errc::unsupported,
      "this storage service has no lever: its grants end when they expire, or with the key that signed them");
}

result<const driver_type*> find_driver_type(std::string_view name) {
  std::string names;
  for (const auto& t : table()) {
    if (t.name == name) return &t;
    names.append(names.empty() ? "" : ", ").append(t.name);
  }
  return fail(errc::invalid_argument, "type", "unknown storage type: use one of " + names);
}

}  // namespace evp::storage
