// The storages that the suite runs against: a driver type with options, and the device that will execute its grants.
#pragma once

#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "devices.h"

namespace evp {

struct storage_setup {
  std::string name;  ///< as it appears in test names
  std::string type;
  bool agent = false;  ///< the public agent: Host without port
  /// Options that the servers decide, so known only once they run.
  std::map<std::string, std::string> (*options)();
  std::string (*ca_pem)();
  std::map<std::string, std::string> wrong_credentials;  ///< options that replace the right ones
  http::headers service_fields;                          ///< "headers" of the service
  bool has_parts = false;                                ///< takes uploads in parts
  errc refused_as = errc::unauthenticated;               ///< what wrong credentials are to it
  bool own_clock = false;  ///< grants begin by the storage's clock, not the backend's; its double lets it be moved
  std::vector<std::string> free_fields;  ///< of grants: the storage takes them with any value
};

const std::vector<storage_setup>& storages();
/// The one of that name; ends the program where there is none.
const storage_setup& storage_of(std::string_view name);
inline void PrintTo(const storage_setup& s, std::ostream* out) { *out << s.name; }

}  // namespace evp
