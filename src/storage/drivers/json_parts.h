// The JSON of uploads in parts, for vendors that took over the requests of S3 but not its XML: one rule, with each
// vendor's names.
#pragma once

#include "storage/drivers/s3_parts.h"

namespace evp::storage {

/// What a vendor calls the members of its documents.
struct json_part_names {
  std::string_view upload_id, parts, number, size, etag, truncated;
};

/// The text at that name. Errors: data_corrupt (none, empty, or longer than 2 KiB).
result<std::string> json_upload_id(const json_part_names& names, std::string_view body);
/// Adds a page. Errors: data_corrupt (no such document, parts out of order, more than 50,000).
result<void> read_json_parts(const json_part_names& names, std::string_view body, s3_part_list& to);
/// {"Parts":[{"PartNumber":1,"ETag":"..."}]}
std::string json_commit_body(const json_part_names& names, const std::vector<stored_part>& parts);

/// The documents of a vendor whose names are these; `marker` is the query parameter of a listing's next page.
template <const json_part_names& names>
constexpr part_documents json_documents(std::string_view marker) {
  return {[](std::string_view body) { return json_upload_id(names, body); },
          [](std::string_view body, s3_part_list& to) { return read_json_parts(names, body, to); },
          [](const std::vector<stored_part>& parts) { return json_commit_body(names, parts); }, marker};
}

}  // namespace evp::storage
