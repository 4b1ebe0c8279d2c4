// A copy of a SQLite database that is in use.
#pragma once

#include <string_view>

#include "base/error.h"
#include "io/files.h"

namespace evp::sql {

/// Copies the database of "sqlite:///path/file.db" into a new file of mode 0600, as it is at one moment, whoever writes
/// to it meanwhile; durable when it returns. Blocks for the disk (https://www.sqlite.org/backup.html). Any thread.
/// Errors: unsupported (another database than SQLite), not_found (no such file), already_exists (the new file),
/// unavailable (disk full, or locked for 30 s), data_corrupt.
result<void> back_up(std::string_view url, const io::fs::path& to);

}  // namespace evp::sql
