// What the storage really has.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <string>

#include "base/secret.h"
#include "http/client.h"

namespace evp::bench {

/// The storage's keys and where it listens, without relay.
struct storage_access {
  std::string authority, key, secret_key;
};

enum class object_state { right, wrong, missing };

/// The storage itself, asked directly.
class objects {
 public:
  explicit objects(storage_access s) : access_(std::move(s)) {}
  /// A URL by which to PUT the object at that authority, good for a day.
  std::string put_url(const std::string& authority, const std::string& object) const;
  /// Compares size and SHA-256 of each object with those of the file of that number. Many at once: Ceph's gateway takes
  /// 40 ms for one.
  std::map<std::string, object_state> check(const std::map<std::string, unsigned>& numbers, std::uint64_t seed) const;

 private:
  secret presign(std::string method, const std::string& authority, const std::string& object) const;
  object_state check_one(http::client& by, boost::asio::io_context& ctx, const std::string& object, unsigned number,
                         std::uint64_t seed) const;
  storage_access access_;
};

}  // namespace evp::bench
