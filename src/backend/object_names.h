// How the name that a device asks for becomes the name of the stored object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace evp::backend {

inline constexpr std::string_view default_object_name_template = "{device}/{module}/{name}";
inline constexpr std::size_t max_template_bytes = 512;

/// What the placeholders stand for. device comes from the authenticated session, never from a message.
struct name_parts {
  std::string device;
  std::string module;              ///< the module instance that asks
  std::string name;                ///< as the module gave it
  timestamp now;                   ///< for {yyyy}, {MM} and {dd} (UTC)
  std::string tenant = "default";  ///< the device's
  std::string group;               ///< that the device is in; empty: none
};

/// A checked template. Placeholders: {tenant} {group} {device} {module} {name} {yyyy} {MM} {dd}; {name} must occur
/// once.
class object_name_template {
 public:
  /// Errors: invalid_argument at `field` (unknown placeholder, no {name}, lone brace, unusable text).
  static result<object_name_template> parse(std::string_view text, std::string_view field = "objectNameTemplate");

  /// The object's full name, which has passed check_object_name. Errors: invalid_argument at "filename"; where the
  /// template has no {device} also permission_denied unless the name begins with the device's id and a slash;
  /// failed_precondition (it has {group}, and the device is in none).
  result<std::string> expand(const name_parts& parts) const;

  const std::string& text() const noexcept { return text_; }

 private:
  enum class kind { literal, tenant, group, device, module, name, year, month, day };
  struct piece {
    kind what;
    std::string text;
  };
  std::string text_;
  std::vector<piece> pieces_;
  bool has_device_ = false;
};

}  // namespace evp::backend
