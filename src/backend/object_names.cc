#include "backend/object_names.h"

#include <fmt/format.h>

#include <array>

#include "base/encoding.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr std::string_view known = "{tenant} {group} {device} {module} {name} {yyyy} {MM} {dd}";

}  // namespace

result<object_name_template> object_name_template::parse(std::string_view text, std::string_view field) {
  const auto refuse = [field](std::string_view message) {
    return fail(errc::invalid_argument, std::string(field), fmt::format("{} {}", field, message));
  };
  static constexpr std::array<std::pair<std::string_view, kind>, 8> placeholders{{{"tenant", kind::tenant},
                                                                                  {"group", kind::group},
                                                                                  {"device", kind::device},
                                                                                  {"module", kind::module},
                                                                                  {"name", kind::name},
                                                                                  {"yyyy", kind::year},
                                                                                  {"MM", kind::month},
                                                                                  {"dd", kind::day}}};
  if (text.empty() || text.size() > max_template_bytes)
    return refuse(fmt::format("must have 1 to {} bytes", max_template_bytes));
  object_name_template out;
  out.text_ = text;
  int names = 0;
  while (!text.empty()) {
    const auto brace = text.find_first_of("{}");
    if (brace != 0) {
      out.pieces_.push_back({kind::literal, std::string(text.substr(0, brace))});
      text.remove_prefix(std::min(brace, text.size()));
      continue;
    }
    const auto end = text.find('}');
    if (text[0] == '}' || end == text.npos) return refuse("has a brace without its partner");
    const auto word = text.substr(1, end - 1);
    const auto* found =
        std::find_if(placeholders.begin(), placeholders.end(), [&](const auto& p) { return p.first == word; });
    if (found == placeholders.end()) return refuse(fmt::format("has an unknown placeholder; there are {}", known));
    out.pieces_.push_back({found->second, {}});
    out.has_device_ |= found->second == kind::device;
    names += found->second == kind::name;
    text.remove_prefix(end + 1);
  }
  if (names != 1) return refuse("must have {name} exactly once");
  // What cannot become an object's name with the plainest of parts never will.
  if (!out.expand({"d", "m", "d/n", timestamp{}, "t", "g"}))
    return refuse(
        "does not give usable names: no empty, \".\" or \"..\" segments, backslashes or control "
        "characters");
  return out;
}

result<std::string> object_name_template::expand(const name_parts& parts) const {
  const auto bad = [](error e) { return fail(std::move(std::move(e).at("filename"))); };
  if (auto ok = check_object_name(parts.name); !ok) return bad(ok.error());
  if (!has_device_ && !parts.name.starts_with(parts.device + "/"))
    return fail(errc::permission_denied, "filename", "the name must begin with the device's own id and a slash");
  const auto day = std::chrono::floor<std::chrono::days>(parts.now);
  const std::chrono::year_month_day date(day);
  std::string out;
  for (const piece& p : pieces_) {
    switch (p.what) {
      case kind::literal: out += p.text; break;
      case kind::tenant: out += parts.tenant; break;
      case kind::group:
        if (parts.group.empty())
          return fail(errc::failed_precondition, "group",
                      "names of this storage hold the device's group, and this device is in none");
        out += parts.group;
        break;
      case kind::device: out += parts.device; break;
      case kind::module: out += parts.module; break;
      case kind::name: out += parts.name; break;
      case kind::year: out += fmt::format("{:04}", int(date.year())); break;
      case kind::month: out += fmt::format("{:02}", unsigned(date.month())); break;
      case kind::day: out += fmt::format("{:02}", unsigned(date.day())); break;
    }
  }
  if (auto ok = check_object_name(out); !ok) return bad(ok.error());
  return out;
}

}  // namespace evp::backend
