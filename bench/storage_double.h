// A storage for measuring: speaks just enough S3 over http or https to take any file, whole or in parts, keep its size
// and forget its bytes.
#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "http/server.h"

namespace evp::bench {

/// Serves on loopback from a thread of its own until it is destroyed. Signatures are not checked: both contenders
/// send the same bytes to it.
class storage_double {
 public:
  explicit storage_double(std::optional<http::tls_files> tls);
  ~storage_double();
  /// "https://127.0.0.1:1234"
  const std::string& url() const noexcept { return url_; }
  /// When the file that was last put under a name with this end had been taken: ms of the monotonic clock; 0: never.
  double taken_at(std::string_view end_of_name) const;

 private:
  io::task<http::server_response> put(http::server_request& r);
  io::task<http::server_response> head(http::server_request& r);
  io::task<http::server_response> post(http::server_request& r);
  static std::string part_list(const std::map<unsigned, std::uint64_t>& parts, unsigned after);

  mutable std::mutex mutex_;
  std::map<std::string, double> taken_;  ///< by path; guarded by the mutex
  std::map<std::string, std::uint64_t> sizes_;
  std::map<std::string, std::map<unsigned, std::uint64_t>> uploads_;  ///< in parts, by path: one at a time for each
  std::shared_ptr<io::unique_fd> zeros_;                              ///< sparse; a HEAD's length must belong to a body
  boost::asio::io_context ctx_{1};
  std::unique_ptr<http::server> server_;
  std::string url_;
  std::thread thread_;
};

}  // namespace evp::bench
