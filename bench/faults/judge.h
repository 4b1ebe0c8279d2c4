// Holds what the module was promised and told against what the storage has and the ledger says.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "records.h"
#include "rest.h"
#include "world.h"

namespace evp::bench {

/// The storage itself, asked directly.
class objects {
 public:
  explicit objects(storage_access s) : access_(std::move(s)) {}
  /// A URL by which to PUT the object at that authority, good for a day.
  std::string put_url(const std::string& authority, const std::string& path) const;
  enum class state { right, wrong, missing };
  /// Compares size and SHA-256 of each object with those of the file of that number. Many at once: Ceph's gateway takes
  /// 40 ms for one.
  std::map<std::string, state> check(const std::map<std::string, unsigned>& numbers_by_path, std::uint64_t seed) const;

 private:
  secret presign(std::string method, const std::string& authority, const std::string& path) const;
  state check_one(http::client& by, boost::asio::io_context& ctx, const std::string& path, unsigned number,
                  std::uint64_t seed) const;
  storage_access access_;
};

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
ledger_states read_ledger(rest& api);

verdict judge(const records& r, std::uint64_t seed, const objects& storage, const ledger_states& ledger);

}  // namespace evp::bench
