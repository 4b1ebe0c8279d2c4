// The XML of uploads in parts, as S3 and the storages that took it over speak it.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html, API_ListParts.html,
// API_CompleteMultipartUpload.html
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/driver.h"

namespace evp::storage {

/// A page of 1,000 parts is about 250 KiB.
inline constexpr std::uint64_t s3_list_max_bytes = 1ULL << 20;
inline constexpr std::size_t max_upload_id_bytes = 2048;

/// <UploadId> of the answer. Errors: data_corrupt (none, empty, or longer than 2 KiB).
result<std::string> s3_upload_id(std::string_view body);

struct s3_part_list {
  std::vector<stored_part> parts;
  bool more = false;  ///< ask again, from the last part on
};
/// Adds a page. Errors: data_corrupt (no such document, parts out of order, more than 50,000).
result<void> read_s3_parts(std::string_view body, s3_part_list& to);

/// The body that names the parts.
std::string s3_commit_body(const std::vector<stored_part>& parts);

/// The documents in which a vendor with the requests of S3 speaks of an upload in parts.
struct part_documents {
  result<std::string> (*upload_id)(std::string_view body);
  result<void> (*read_parts)(std::string_view body, s3_part_list& to);
  std::string (*commit_body)(const std::vector<stored_part>& parts);
  std::string_view marker;  ///< the query parameter of a listing's next page: parts behind this number
};
inline constexpr part_documents s3_documents{s3_upload_id, read_s3_parts, s3_commit_body, "part-number-marker"};

}  // namespace evp::storage
