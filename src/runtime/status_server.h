// <data>/status.sock: says what the runtime does to whoever connects, and hangs up (wire/runtime_status.h).
#pragma once

#include <boost/asio/local/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <string>

#include "io/task.h"

namespace evp::runtime {

/// Confined to its executor. Only the runtime's own user and root may connect.
class status_server {
 public:
  /// `text` is asked at each connection.
  status_server(io::executor ex, std::function<std::string()> text);
  /// Errors: by errno; invalid_argument (the path is too long for a socket).
  result<void> start(const std::string& path);
  /// Nothing is asked afterwards; the socket goes.
  io::task<void> stop();

 private:
  using stream = boost::asio::local::stream_protocol;
  io::task<void> accept();
  io::task<void> answer(stream::socket peer);

  std::function<std::string()> text_;
  stream::acceptor acceptor_;
  std::string path_;
  io::group tasks_;
};

}  // namespace evp::runtime
