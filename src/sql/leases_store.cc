#include "sql/leases_store.h"

namespace evp::sql {

result<lease_row> find_lease(connection& c) {
  TRY(const auto found, c.query("SELECT holder, beat FROM leases WHERE name = 'background'"));
  return lease_row{found.at(0).text("holder"), found.at(0).integer("beat")};
}

result<bool> take_lease(connection& c, const lease_row& seen, const std::string& holder) {
  TRY(const auto taken, c.execute("UPDATE leases SET holder = :holder, beat = beat + 1 WHERE name = 'background' AND "
                                  "holder = :seen_holder AND beat = :seen_beat",
                                  {{"holder", holder}, {"seen_holder", seen.holder}, {"seen_beat", seen.beat}}));
  return taken > 0;
}

}  // namespace evp::sql
