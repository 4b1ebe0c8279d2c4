// Static large objects of Swift, as documents: the names of segments, the listing of those that arrived, the manifest
// that makes one object of them.
//
// https://docs.openstack.org/swift/latest/overview_large_objects.html
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/driver.h"

namespace evp::storage {

/// A page of 1,000 segments with names of 1 KiB, escaped.
inline constexpr std::uint64_t swift_list_max_bytes = 8ULL << 20;
/// Swift's max_object_name_length.
inline constexpr std::size_t swift_name_max_bytes = 1024;

/// What the names of an upload's segments begin with: "<object>/<upload id>/".
std::string swift_segments_prefix(std::string_view object, std::string_view upload_id);
/// The segment's name: the prefix and the number in five digits, so that names sort as numbers.
std::string swift_segment_name(std::string_view object, std::string_view upload_id, unsigned number);

struct swift_segment_list {
  std::vector<stored_part> parts;
  std::string last;   ///< name of the last one: the next page begins behind it
  bool more = false;  ///< ask again
};
/// Adds a page of a container's listing as XML. Errors: data_corrupt (no such document, a name that is no segment's,
/// out of order, more than 50,000).
result<void> read_swift_segments(std::string_view body, std::string_view prefix, swift_segment_list& to);

/// The JSON that names the segments of these parts, with the ETag and size that each must have.
std::string swift_manifest(std::string_view container, std::string_view object, std::string_view upload_id,
                           const std::vector<stored_part>& parts);

}  // namespace evp::storage
