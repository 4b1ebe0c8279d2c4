// The tables of the backend's database as a numbered list of migrations, and how a file is brought to the newest one.
#pragma once

#include <span>
#include <string_view>

#include "sql/database.h"

namespace evp::sql {

/// One step. Steps are never changed once released: a new one is added at the end.
struct migration {
  std::int64_t version;                     ///< 1, 2, 3, ... without gaps
  std::span<const std::string_view> texts;  ///< statements that both SQLite and PostgreSQL understand
};

/// All migrations of this program, oldest first.
std::span<const migration> schema();

/// Brings the database to the last version of the list; each step commits with its number in table schema_version, so
/// a crash leaves a file that the next start goes on with. Database thread.
/// Errors: failed_precondition (the file is of a newer version than the program), and what the statements give.
result<void> migrate(connection& c, std::span<const migration> steps);

}  // namespace evp::sql
