// Token files of workload identities, which the platform renews, read anew for each fetch.
#pragma once

#include "base/error.h"
#include "base/secret.h"
#include "io/files.h"

namespace evp::auth {

/// Where token files may lie. A user of the REST API names the file, and its content is sent to an issuer that the same
/// user names: so only files in folders that platforms or the operator have set apart for this are read, and only
/// what is a JSON web token leaves the machine.
class token_folders {
 public:
  /// The folders of Amazon EKS and Azure AKS, and the operator's own (tokenFileFolders, absolute paths).
  explicit token_folders(std::vector<io::fs::path> operators = {});

  /// Checks the path without reading. Errors: invalid_argument (not absolute, "..", in none of the folders: says which
  /// there are).
  result<void> check(const io::fs::path& file) const;
  /// The token. Symbolic links that lead out of the folder are refused (platforms use some within). Blocks for the file
  /// system, which is memory on these platforms. Errors: check()'s, not_found, permission_denied, data_corrupt (no JSON
  /// web token).
  result<secret> read(const io::fs::path& file) const;

 private:
  std::vector<io::fs::path> folders_;
};

}  // namespace evp::auth
