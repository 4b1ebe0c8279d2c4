// The table of driver types, and the values of their options.
#include "storage/drivers/drivers.h"

namespace evp::storage {
namespace {

std::span<const driver_type> table() {
  static const driver_type types[] = {
      {"AWS", aws_options(), make_aws},
      {"AZURE", azure_options(), make_azure},
      {"LOCAL", local_options(), make_local},
  };
  return types;
}

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

result<const driver_type*> find_driver_type(std::string_view name) {
  std::string names;
  for (const auto& t : table()) {
    if (t.name == name) return &t;
    names.append(names.empty() ? "" : ", ").append(t.name);
  }
  return fail(errc::invalid_argument, "type", "unknown storage type: use one of " + names);
}

}  // namespace evp::storage
