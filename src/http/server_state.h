// The server's state, and the bounds that are no options. Expensive to compile (Beast): for server.cc only.
#pragma once

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/error.hpp>

#include "http/answer.h"
#include "http/connections.h"
#include "http/server.h"
#include "io/clock.h"

namespace evp::http {

namespace asio = io::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

/// One read or write of a body; large enough for a fast disk, small enough for thousands of connections.
inline constexpr std::size_t piece_bytes = 256 * 1024;
inline constexpr std::size_t read_ahead_bytes = 64 * 1024;
/// What a client may still send after an answer that came before the end of its body, so that it sees the answer
/// and no reset (RFC 9112, 9.6).
inline constexpr std::uint64_t linger_bytes = 64 << 20;
inline constexpr milliseconds linger_time{5'000};
inline constexpr milliseconds handshake_time{10'000};
inline constexpr milliseconds accept_pause{100};  ///< after an accept that failed for want of descriptors or memory
inline constexpr std::size_t first_bytes = 4096;  ///< of a head: most fit
inline constexpr std::size_t max_fields = 128;    ///< of a head; browsers and proxies send some thirty
/// Bytes a second of a body that comes in small pieces, as Apache's mod_reqtimeout has it.
inline constexpr std::uint64_t least_body_rate = 500;
/// The stream's own expiry comes so much later: it closes what patience has just missed, between two reads.
inline constexpr milliseconds spare{1'000};
inline constexpr milliseconds warn_every{60'000};

inline bool is_parse_error(const error_code& ec) {
  return ec.category() == beast::http::make_error_code(beast::http::error::bad_method).category() &&
         ec != beast::http::error::end_of_stream && ec != beast::http::error::partial_message;
}

/// How long the next piece of a body may take of which so many bytes have come: `stall` at most, and all pieces
/// together that and a second for every so many bytes. Only what the server has waited for the client counts.
inline milliseconds body_patience(milliseconds stall, std::uint64_t read, steady_time::duration waited) {
  const auto all = stall + milliseconds(read * 1000 / least_body_rate);
  return std::clamp(all - std::chrono::duration_cast<milliseconds>(waited), milliseconds(0), stall);
}

struct server::state {
  state(io::executor e, router r, server_options o)
      : ex(e), table(std::move(r)), options(std::move(o)), acceptor(e), changed(e), tasks(e) {
    changed.expires_at(steady_time::max());
  }
  io::executor ex;
  router table;
  server_options options;
  tcp::acceptor acceptor;
  std::optional<asio::ssl::context> tls;
  connections live;
  asio::steady_timer
      changed;             ///< its cancellation wakes whoever waits for a connection to end or to wait for its client
  bool all_taken = false;  ///< and all at work: a newcomer waits for that
  steady_time warned{};    ///< of displacement
  io::group tasks;
  io::system_clock clock;
  std::uint16_t port = 0;
  bool stopping = false;

  result<void> load_tls();
  result<void> bind();
  server_response refuse(int status, const error& e) const {
    return table.error_writer_ ? table.error_writer_(status, e) : plain_error(status, e);
  }
  static io::task<void> accept_all(std::shared_ptr<state> s);
  static io::task<void> serve(std::shared_ptr<state> s, tcp::socket socket);
  void displace();
  void enter(connections::handle which, stage at) {
    connections::enter(which, at, clock.steady());
    if (all_taken && at != stage::work) changed.cancel();
  }

  template <class Stream>
  class connection;
};

}  // namespace evp::http
