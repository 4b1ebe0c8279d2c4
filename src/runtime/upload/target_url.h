// The URL of one file beneath a prefix grant ("multifile"), as evp-wire.md C1 describes it.
#pragma once

#include <string>
#include <string_view>

#include "base/encoding.h"

namespace evp::runtime::upload {

/// Puts the percent-encoded name ('/' included) between the prefix's path and its query; a trailing '/' of the path
/// is dropped first. Errors: invalid_argument (the prefix has neither '?' nor '#').
inline result<std::string> url_beneath_prefix(std::string_view prefix, std::string_view remote_name) {
  const auto end = prefix.find_first_of("?#");
  if (end == std::string_view::npos) return fail(errc::invalid_argument, "URL", "a multifile URL needs a query");
  std::string_view path = prefix.substr(0, end);
  if (path.ends_with('/')) path.remove_suffix(1);
  return std::string(path) + "/" + percent_encode(remote_name) + std::string(prefix.substr(end));
}

}  // namespace evp::runtime::upload
