// The backend's REST API, as the programs of this folder call it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <string>
#include <thread>

#include "http/client.h"
#include "io/files.h"
#include "programs.h"

namespace evp::bench {

namespace json = boost::json;

/// The whole file; empty if it can't be read.
std::string text_of(const io::fs::path& path);

/// Polls; ends the program where it does not come true within the time.
template <class F>
void wait_for(const char* what, F holds, int limit_s = 60) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(limit_s);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end)
      give_up(std::string(what) + " did not happen within " + std::to_string(limit_s) + " s");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

class rest {
 public:
  /// The token may have a line's end behind it.
  rest(std::string url, std::string token);
  /// The answer's body. Ends the program where there is none, or one of a failure, unless that may be.
  json::value call(std::string method, const std::string& path, std::string body, bool may_fail = false);

 private:
  std::string url_, token_;
  boost::asio::io_context ctx_{1};
  http::client client_{ctx_.get_executor()};
};

}  // namespace evp::bench
