// Holds what the module was promised and told against what the storage has and the ledger says.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "objects.h"
#include "records.h"

namespace evp::bench {

struct verdict {
  unsigned accepted = 0, succeeded = 0, failed = 0;
  unsigned refused = 0;  ///< attempts; the file was offered again
  unsigned grants = 0, grants_verified = 0;
  unsigned unrecorded = 0;  ///< carried out, but the module died before it had written down that it was accepted
  unsigned told_again = 0;  ///< the same outcome once more, in a later life: its id tells
  unsigned lost = 0, corrupt = 0, doubled = 0;
  std::vector<std::string> offences;  ///< the first ones, in words
};

/// The ledger, by object: the states of its grants.
using ledger_states = std::map<std::string, std::multiset<std::string>>;
/// Of the objects whose uploads were told as successes, by name.
using object_states = std::map<std::string, object_state>;

/// The object's name of an attempt: below the device's and the instance's.
std::string object_of(const attempt_key& k);
/// The number of the file that each object of a success must hold.
std::map<std::string, unsigned> successes(const records& r);
/// Pure.
verdict judge(const records& r, const object_states& found, const ledger_states& ledger);

}  // namespace evp::bench
