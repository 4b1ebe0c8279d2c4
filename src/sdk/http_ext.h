// What an EVP_BlobRequestHttpExt holds.
#pragma once

#include <string>
#include <vector>

/// Headers are kept as they travel: "name: value".
struct EVP_BlobRequestHttpExt {
  std::string url;
  std::vector<std::string> headers;
};
