// A copy of a data folder to start from.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "io/files.h"

namespace evp::backend {

/// Where the database of a data folder is, unless the operator has named another.
std::string database_url_in(const io::fs::path& data_dir);
/// Likewise of the master key.
io::fs::path master_key_file_in(const io::fs::path& data_dir);

struct backup_order {
  io::fs::path data_dir;
  std::string database_url;         ///< empty: database_url_in(data_dir)
  io::fs::path master_key_file;     ///< empty: master_key_file_in(data_dir)
  std::vector<std::string> others;  ///< further files of the data folder, where they are there
  io::fs::path to;
};

/// Copies database, master key, module files and the others into the new folder, which is a data folder then; also
/// while a backend works on the old one. Blocks for the disk. Errors: not_found (no data folder), already_exists (the
/// new one), sql::back_up's, errno's.
result<void> back_up(const backup_order& o);

}  // namespace evp::backend
