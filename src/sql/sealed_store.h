// All that is sealed, wherever it lies: for a change of the master key.
#pragma once

#include <functional>
#include <string>

#include "sql/database.h"

namespace evp::sql {

/// Where a sealed text lies, as whoever sealed it called that place.
struct sealed_place {
  enum class kind { key, service_option, hook } what;
  std::string owner;  ///< the key's name, the service's id, the hook's name
  std::string name;   ///< of the option
};

/// Replaces each sealed text by what the function makes of it; its error ends the work. Gives the number. Database
/// thread, in connection::at_end() only. Errors: the function's, the connection's.
result<std::int64_t> replace_sealed(
    connection& c, const std::function<result<std::string>(const sealed_place&, const std::string&)>& make);

/// Which master key is in force, for all backends on the database; empty before the first change of it.
result<std::string> find_master_key_id(connection& c);
result<void> put_master_key_id(connection& c, const std::string& id);
/// In each transaction that stores something sealed. Errors: unavailable (another master key is in force by now).
result<void> check_master_key_id(connection& c, const std::string& id);

}  // namespace evp::sql
