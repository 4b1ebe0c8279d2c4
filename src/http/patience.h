// A bound on what is read that leaves the connection fit for an answer.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <memory>
#include <utility>

#include "base/time.h"

namespace evp::http {

/// Ends what is read when it takes too long, and leaves the stream fit for an answer: its own expiry would close it.
class patience {
 public:
  explicit patience(boost::beast::tcp_stream& stream)
      : timer_(stream.get_executor()), shared_(std::make_shared<shared>(shared{&stream})) {}
  ~patience() { ++shared_->turn; }
  patience(const patience&) = delete;
  patience& operator=(const patience&) = delete;

  /// From now on.
  void begin(milliseconds for_how_long) {
    shared_->late = false;
    timer_.expires_after(for_how_long);
    timer_.async_wait([s = shared_, turn = ++shared_->turn](boost::system::error_code ec) {
      if (ec || s->turn != turn) return;
      s->late = true;
      s->stream->cancel();
    });
  }
  /// True if it took too long.
  bool end() {
    ++shared_->turn;
    timer_.cancel();
    return std::exchange(shared_->late, false);
  }

 private:
  struct shared {
    boost::beast::tcp_stream* stream;
    unsigned turn = 0;  ///< a timer that has run out already must not end what came after
    bool late = false;
  };
  boost::asio::steady_timer timer_;
  std::shared_ptr<shared> shared_;
};

}  // namespace evp::http
