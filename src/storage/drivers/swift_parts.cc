#include "storage/drivers/swift_parts.h"

#include <fmt/format.h>

#include <charconv>
#include <pugixml.hpp>

#include "auth/json_text.h"

namespace evp::storage {
namespace {

constexpr std::size_t max_parts = 50'000;

tl::unexpected<error> not_understood() {
  return fail(errc::data_corrupt, "the storage's list of segments is not understood");
}

}  // namespace

std::string swift_segments_prefix(std::string_view object, std::string_view upload_id) {
  return fmt::format("{}/{}/", object, upload_id);
}

std::string swift_segment_name(std::string_view object, std::string_view upload_id, unsigned number) {
  return fmt::format("{}/{}/{:05}", object, upload_id, number);
}

result<void> read_swift_segments(std::string_view body, std::string_view prefix, swift_segment_list& to) {
  pugi::xml_document document;
  if (!document.load_buffer(body.data(), body.size())) return not_understood();
  const auto list = document.child("container");
  if (!list) return not_understood();
  to.more = false;
  for (const auto object : list.children("object")) {
    const std::string name = object.child_value("name");
    if (!name.starts_with(prefix)) return not_understood();
    const auto digits = std::string_view(name).substr(prefix.size());
    stored_part p;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), p.number);
    if (digits.empty() || ec != std::errc() || end != digits.data() + digits.size()) return not_understood();
    p.size = object.child("bytes").text().as_ullong();
    p.etag = object.child_value("hash");
    const bool ascends = to.parts.empty() ? p.number > 0 : p.number > to.parts.back().number;
    if (!ascends || p.etag.empty() || to.parts.size() >= max_parts) return not_understood();
    to.parts.push_back(std::move(p));
    to.last = name;
    to.more = true;  // a listing says nothing of its end: an empty page does
  }
  return {};
}

std::string swift_manifest(std::string_view container, std::string_view object, std::string_view upload_id,
                           const std::vector<stored_part>& parts) {
  std::string out = "[";
  for (const auto& p : parts) {
    const auto path = fmt::format("/{}/{}", container, swift_segment_name(object, upload_id, p.number));
    out += fmt::format(R"({}{{"path":{},"etag":{},"size_bytes":{}}})", out.size() > 1 ? "," : "",
                       auth::json_quoted(path), auth::json_quoted(p.etag), p.size);
  }
  return out + "]";
}

}  // namespace evp::storage
