// Which instances to stop, fetch and start: a pure function from what is wanted and what is there.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "wire/messages.h"

namespace evp::runtime {

/// What makes two instances the same: if any of it changes, the process is replaced. It holds the module's hash, so
/// new code under an old id is never taken for the old code.
struct identity {
  std::string module_id, impl, hash;
  std::int64_t version = 1;
  std::map<std::string, std::string> publish, subscribe;
  friend bool operator==(const identity&, const identity&) = default;
};

/// An instance that exists now.
struct actual_instance {
  identity is;
  bool stopping = false;
};
/// A module's file: the hash of what is on disk ("" if there is none).
using module_files = std::map<std::string, std::string>;

struct plan {
  std::vector<std::string> stop;              ///< instances that are not wanted as they are
  std::vector<std::string> start;             ///< instances whose module is at hand
  std::vector<std::string> fetch;             ///< modules to download
  std::map<std::string, std::string> errors;  ///< instance -> why it can never run here
  bool settled = false;                       ///< nothing is left to do
};

identity identity_of(const wire::deployment& wanted, const wire::instance_spec& spec);
/// Why this module can't run here, or empty.
std::string refusal(const wire::module_spec& module);
plan reconcile(const wire::deployment& wanted, const std::map<std::string, actual_instance>& actual,
               const module_files& files);

}  // namespace evp::runtime
