// Table leases: which of the programs on the database does what one does for all.
#pragma once

#include <cstdint>
#include <string>

#include "sql/database.h"

namespace evp::sql {

/// The holder shows that it lives by counting. No clocks are compared: who has seen the same number for long enough, by
/// a clock of its own, may take the lease over.
struct lease_row {
  std::string holder;     ///< empty: nobody
  std::int64_t beat = 0;  ///< counts each renewal and each change of the holder
  bool operator==(const lease_row&) const = default;
};

/// All functions: database thread; errors: the connection's. There is one lease, "background".
result<lease_row> find_lease(connection& c);
/// Renews it or takes it over, if it still is as it was seen. True: so it was.
result<bool> take_lease(connection& c, const lease_row& seen, const std::string& holder);

}  // namespace evp::sql
