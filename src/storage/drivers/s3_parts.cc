#include "storage/drivers/s3_parts.h"

#include <pugixml.hpp>
#include <sstream>

namespace evp::storage {
namespace {

constexpr std::size_t max_parts = 50'000;

tl::unexpected<error> not_understood() {
  return fail(errc::data_corrupt, "the storage's answer about an upload in parts is not understood");
}

}  // namespace

result<std::string> s3_upload_id(std::string_view body) {
  pugi::xml_document document;
  if (!document.load_buffer(body.data(), body.size())) return not_understood();
  std::string id = document.child("InitiateMultipartUploadResult").child_value("UploadId");
  if (id.empty() || id.size() > max_upload_id_bytes) return not_understood();
  return id;
}

result<void> read_s3_parts(std::string_view body, s3_part_list& to) {
  pugi::xml_document document;
  if (!document.load_buffer(body.data(), body.size())) return not_understood();
  const auto list = document.child("ListPartsResult");
  if (!list) return not_understood();
  for (const auto part : list.children("Part")) {
    stored_part p;
    p.number = part.child("PartNumber").text().as_uint();
    p.size = part.child("Size").text().as_ullong();
    p.etag = part.child_value("ETag");
    const bool ascends = to.parts.empty() ? p.number > 0 : p.number > to.parts.back().number;
    if (!ascends || p.etag.empty() || to.parts.size() >= max_parts) return not_understood();
    to.parts.push_back(std::move(p));
  }
  to.more = list.child("IsTruncated").text().as_bool() && list.child("Part");
  return {};
}

std::string s3_commit_body(const std::vector<stored_part>& parts) {
  pugi::xml_document document;
  auto root = document.append_child("CompleteMultipartUpload");
  for (const auto& p : parts) {
    auto part = root.append_child("Part");
    part.append_child("PartNumber").text().set(p.number);
    part.append_child("ETag").text().set(p.etag.c_str());
  }
  std::ostringstream out;
  document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
  return out.str();
}

}  // namespace evp::storage
