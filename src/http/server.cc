// The one file that knows Beast: accepts connections, reads requests within their bounds, writes answers.
#include "http/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <list>

#include "http/answer.h"
#include "io/clock.h"

namespace evp::http {
namespace {

namespace asio = io::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using request_parser = beast::http::request_parser<beast::http::buffer_body>;

/// One read or write of a body; large enough for a fast disk, small enough for thousands of connections.
constexpr std::size_t piece_bytes = 256 * 1024;
constexpr std::size_t read_ahead_bytes = 64 * 1024;
/// What a client may still send after an answer that came before the end of its body, so that it sees the answer
/// and no reset (RFC 9112, 9.6).
constexpr std::uint64_t linger_bytes = 64 << 20;
constexpr milliseconds linger_time{5'000};
constexpr milliseconds handshake_time{10'000};
constexpr milliseconds accept_pause{100};  ///< after an accept that failed for want of descriptors or memory

/// What stop() must know of a connection.
struct live_connection {
  beast::tcp_stream* stream;
  bool idle = true;  ///< between requests
};

}  // namespace

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
  std::list<live_connection> live;
  asio::steady_timer changed;  ///< its cancellation wakes whoever waits for a connection to end
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

  template <class Stream>
  class connection;
};

/// One connection; Stream is a tcp_stream or TLS over one. Lives in the coroutine that serves it.
template <class Stream>
class server::state::connection final : public body_reader {
 public:
  connection(state& s, Stream& stream, live_connection& mine, std::string peer)
      : s_(s),
        stream_(stream),
        mine_(mine),
        peer_(std::move(peer)),
        buffer_(s.options.max_header_bytes + read_ahead_bytes) {}

  /// Until the client or the server has had enough.
  io::task<void> run() {
    bool more = true;
    while (more) {
      more = co_await exchange();
      if (buffer_.size() == 0) buffer_.shrink_to_fit();
    }
  }

  io::task<result<std::size_t>> read(std::span<char> into) override {
    if (awaits_continue_) {
      awaits_continue_ = false;
      const bool sent = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
      if (!sent) co_return fail(errc::unavailable, "the client went away");
    }
    std::size_t got = 0;
    while (got == 0 && !into.empty() && !parser_->is_done()) {
      auto& body = parser_->get().body();
      body.data = into.data();
      body.size = into.size();
      body.more = true;
      error_code ec;
      auto token = asio::redirect_error(asio::use_awaitable, ec);
      lower().expires_after(s_.options.stall_timeout);
      // Beast reads no more at a time than the buffer has room for; without a reserve that is 512 bytes.
      buffer_.reserve(std::min(std::max(into.size(), std::size_t(512)), read_ahead_bytes));
      co_await beast::http::async_read_some(stream_, buffer_, *parser_, token);
      got = into.size() - body.size;
      if (ec == beast::http::error::need_buffer) ec = {};
      if (ec) {
        broken_ = true;
        malformed_ = is_parse_error(ec);
        co_return fail(errc::unavailable, "the client went away in the middle of its request");
      }
    }
    body_read_ += got;
    if (body_read_ > max_body_) {
      exceeded_ = true;
      co_return fail(errc::too_large, "the body is longer than " + std::to_string(max_body_) + " bytes");
    }
    co_return got;
  }

 private:
  beast::tcp_stream& lower() { return beast::get_lowest_layer(stream_); }

  static bool is_parse_error(const error_code& ec) {
    return ec.category() == beast::http::make_error_code(beast::http::error::bad_method).category() &&
           ec != beast::http::error::end_of_stream && ec != beast::http::error::partial_message;
  }

  /// One request and its answer. False when the connection is to be closed.
  io::task<bool> exchange() {
    parser_.emplace();
    parser_->header_limit(std::uint32_t(s_.options.max_header_bytes));
    parser_->body_limit(boost::none);  // ours: max_body_
    awaits_continue_ = broken_ = malformed_ = exceeded_ = false;
    body_read_ = 0;
    max_body_ = 0;
    server_request r;
    r.remote_address = peer_;
    pattern_.clear();

    mine_.idle = buffer_.size() == 0;
    if (mine_.idle && s_.stopping) co_return false;
    error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    lower().expires_after(s_.options.idle_timeout);
    co_await beast::http::async_read_header(stream_, buffer_, *parser_, token);
    mine_.idle = false;
    began_ = std::chrono::steady_clock::now();
    if (ec == beast::http::error::header_limit || ec == beast::http::error::buffer_overflow) {
      error e(errc::too_large,
              "the request's head is longer than " + std::to_string(s_.options.max_header_bytes) + " bytes");
      auto answer = s_.refuse(431, e);
      const bool lives = co_await finish(r, std::move(answer), false);
      co_return lives;
    }
    if (ec) {
      if (!is_parse_error(ec)) co_return false;  // closed, silent for too long, or reset
      error e(errc::invalid_argument, "the request is not well-formed HTTP/1.1");
      auto answer = s_.refuse(400, e);
      const bool lives = co_await finish(r, std::move(answer), false);
      co_return lives;
    }
    auto answer = co_await answer_to(r);
    if (broken_ && !malformed_) co_return false;
    const bool streams = std::holds_alternative<stream_body>(answer.body);
    if (streams && parser_->get().version() < 11)
      answer = s_.refuse(400, error(errc::unsupported, "this answer is a stream, which needs HTTP/1.1"));
    const bool keep = !streams && !broken_ && parser_->is_done() && parser_->keep_alive() && !s_.stopping;
    const bool lives = co_await finish(r, std::move(answer), keep);
    co_return lives;
  }

  /// Takes the head apart. False if it is ambiguous about where its body ends or whom it is for (RFC 9112, 3.2, 6.3).
  bool read_head(server_request& r) {
    const auto& head = parser_->get();
    r.method = std::string(head.method_string());
    r.target = std::string(head.target());
    int hosts = 0, encodings = 0;
    bool sound = true;
    for (const auto& field : head) {
      r.fields.push_back({std::string(field.name_string()), std::string(field.value())});
      const auto& h = r.fields.back();
      hosts += same_name(h.name, "Host");
      if (same_name(h.name, "Transfer-Encoding")) {
        ++encodings;
        sound = sound && same_name(h.value, "chunked") && head.version() == 11;
      }
    }
    const auto announced = parser_->content_length();
    if (announced) r.content_length = *announced;
    sound = sound && encodings <= 1 && hosts <= 1 && (hosts == 1 || head.version() < 11);
    sound = sound && !(encodings == 1 && !http::find(r.fields, "Content-Length").empty());

    std::string_view path = r.target;
    for (const std::string_view scheme : {"http://", "https://"}) {  // absolute-form, RFC 9112, 3.2.2
      if (!path.starts_with(scheme)) continue;
      path.remove_prefix(scheme.size());
      path.remove_prefix(std::min(path.find_first_of("/?"), path.size()));
      if (path.empty()) path = "/";
    }
    const auto question = path.find('?');
    r.path = std::string(path.substr(0, question));
    if (question != path.npos) r.query = std::string(path.substr(question + 1));
    awaits_continue_ = same_name(http::find(r.fields, "Expect"), "100-continue") && head.version() == 11;
    return sound && r.path.starts_with('/');
  }

  io::task<server_response> answer_to(server_request& r) {
    if (!read_head(r)) {
      broken_ = malformed_ = true;
      co_return s_.refuse(400,
                          error(errc::invalid_argument, "the request's head is ambiguous or its target is no path"));
    }
    auto found = s_.table.find(r.method, r.path);
    if (found.malformed)
      co_return s_.refuse(400, error(errc::invalid_argument, "the path is not well-formed percent-encoding"));
    if (found.found == nullptr && found.allowed.empty())
      co_return s_.refuse(404, error(errc::not_found, "there is nothing at this path"));
    if (found.found == nullptr) {
      auto answer = s_.refuse(405, error(errc::unsupported, "this path answers " + found.allowed + " only"));
      answer.fields.push_back({"Allow", found.allowed});
      co_return answer;
    }
    const auto& route = *found.found;
    pattern_ = route.pattern;
    max_body_ = route.options.max_body;
    r.parameters = std::move(found.parameters);
    if (s_.table.gate_) {
      auto refusal = s_.table.gate_(r, pattern_);
      if (refusal) co_return std::move(*refusal);
    }
    if (r.content_length && *r.content_length > max_body_) co_return too_large();
    if (route.options.streams) {
      r.stream = this;
    } else {
      auto whole = co_await read_whole();
      if (exceeded_) co_return too_large();
      if (!whole) co_return s_.refuse(400, error(errc::invalid_argument, "the request's body is not well-formed"));
      r.body = std::move(*whole);
    }
    server_response answer;
    try {
      answer = co_await route.run(r);
    } catch (const boost::system::system_error&) {
      throw;  // stop() has cancelled the connection
    } catch (const std::exception& e) {
      spdlog::error("http: the handler of {} threw: {}", pattern_, e.what());
      answer = s_.refuse(500, error(errc::internal, "the server failed"));
    }
    r.stream = nullptr;
    co_return answer;
  }

  server_response too_large() const {
    return s_.refuse(413, error(errc::too_large, "the body is longer than " + std::to_string(max_body_) + " bytes"));
  }

  io::task<result<std::string>> read_whole() {
    std::string whole;
    if (parser_->is_done()) co_return whole;
    std::string piece(16 * 1024, '\0');
    while (true) {
      CO_TRY(const std::size_t got, co_await read(std::span<char>(piece)));
      if (got == 0) co_return whole;
      whole.append(piece, 0, got);
    }
  }

  /// Sends the answer and tells the observer. True if the connection lives on.
  io::task<bool> finish(server_request& r, server_response answer, bool keep) {
    const bool sent = co_await send(r, answer, keep);
    if (s_.table.observer_) {
      const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began_);
      s_.table.observer_(r, pattern_, answer.status, took);
    }
    if (!sent) co_return false;
    if (!keep) co_await linger();
    co_return keep;
  }

  io::task<bool> send(const server_request& r, const server_response& answer, bool keep) {
    auto head = head_of(answer, keep, s_.clock.now());
    if (r.method == "HEAD" || !may_have_body(answer.status)) {
      const bool sent = co_await write(head);
      co_return sent;
    }
    if (const auto* text = std::get_if<std::string>(&answer.body)) {
      if (text->size() <= 64 * 1024) {  // one write, one packet
        head += *text;
        {
          const bool sent = co_await write(head);
          co_return sent;
        }
      }
      const bool begun = co_await write(head);
      if (!begun) co_return false;
      const bool sent = co_await write(*text);
      co_return sent;
    }
    const bool begun = co_await write(head);
    if (!begun) co_return false;
    if (const auto* stream = std::get_if<stream_body>(&answer.body)) {
      const bool sent = co_await send_stream(*stream);
      co_return sent;
    }
    const bool sent = co_await send_file(std::get<file_body>(answer.body));
    co_return sent;
  }

  /// Chunks of RFC 9112, 7.1. A client that closes, or sends anything more, ends it at once.
  io::task<bool> send_stream(const stream_body& stream) {
    using namespace asio::experimental::awaitable_operators;
    for (;;) {
      auto race = stream.next() || lower().socket().async_wait(tcp::socket::wait_read, asio::use_awaitable);
      auto first = co_await std::move(race);
      if (first.index() != 0) co_return false;
      auto piece = std::move(std::get<0>(first));
      if (piece && piece->empty()) continue;  // an empty chunk would be the end
      const auto chunk = piece ? fmt::format("{:x}\r\n{}\r\n", piece->size(), *piece) : std::string("0\r\n\r\n");
      const bool sent = co_await write(chunk);
      if (!sent || !piece) co_return sent;
    }
  }

  io::task<bool> send_file(const file_body& file) {
    std::string piece(std::min<std::uint64_t>(piece_bytes, file.length), '\0');
    for (std::uint64_t done = 0; done < file.length;) {
      const auto want = std::size_t(std::min<std::uint64_t>(piece.size(), file.length - done));
      const auto n = ::pread(file.fd->get(), piece.data(), want, off_t(file.offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) co_return false;  // shorter than announced: only a cut connection can say so now
      const bool sent = co_await write(std::string_view(piece).substr(0, std::size_t(n)));
      if (!sent) co_return false;
      done += std::uint64_t(n);
    }
    co_return true;
  }

  /// All the bytes; the stall timeout runs anew with each piece that goes out.
  io::task<bool> write(std::string_view bytes) {
    while (!bytes.empty()) {
      error_code ec;
      auto token = asio::redirect_error(asio::use_awaitable, ec);
      lower().expires_after(s_.options.stall_timeout);
      const auto buffer = asio::buffer(bytes.data(), std::min(bytes.size(), piece_bytes));
      const std::size_t n = co_await stream_.async_write_some(buffer, token);
      if (ec) co_return false;
      bytes.remove_prefix(n);
    }
    co_return true;
  }

  /// Closes so that the client gets to read the answer: says that no more comes, then drops what still arrives.
  io::task<void> linger() {
    error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    lower().expires_after(linger_time);  // for all of it
    if constexpr (!std::is_same_v<Stream, beast::tcp_stream>) {
      // Only our own close_notify: the peer's would stand behind the rest of its body.
      SSL_set_shutdown(stream_.native_handle(), SSL_RECEIVED_SHUTDOWN);
      co_await stream_.async_shutdown(token);
    }
    if (parser_->is_done() && !broken_ && buffer_.size() == 0) co_return;  // nothing unread, so no reset
    lower().socket().shutdown(tcp::socket::shutdown_send, ec);
    std::string dropped(16 * 1024, '\0');
    for (std::uint64_t total = 0; total < linger_bytes;) {
      const auto into = asio::buffer(dropped);
      const std::size_t n = co_await lower().async_read_some(into, token);
      if (ec) co_return;
      total += n;
    }
  }

  state& s_;
  Stream& stream_;
  live_connection& mine_;
  const std::string peer_;
  beast::flat_buffer buffer_;
  std::optional<request_parser> parser_;
  std::string pattern_;
  steady_time began_{};
  std::uint64_t max_body_ = 0;
  std::uint64_t body_read_ = 0;
  bool awaits_continue_ = false;
  bool broken_ = false;     ///< nothing more can be read
  bool malformed_ = false;  ///< because the client's bytes make no sense; an answer can still be sent
  bool exceeded_ = false;
};

io::task<void> server::state::serve(std::shared_ptr<state> s, tcp::socket socket) {
  error_code ec;
  socket.set_option(tcp::no_delay(true), ec);
  const auto peer = socket.remote_endpoint(ec);
  const auto address = ec ? std::string() : peer.address().to_string();
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  beast::tcp_stream plain(std::move(socket));
  const auto mine = s->live.insert(s->live.end(), live_connection{&plain});
  try {
    if (s->tls) {
      beast::ssl_stream<beast::tcp_stream&> stream(plain, *s->tls);
      plain.expires_after(std::min(handshake_time, s->options.idle_timeout));
      co_await stream.async_handshake(asio::ssl::stream_base::server, token);
      if (!ec) {
        connection<beast::ssl_stream<beast::tcp_stream&>> c(*s, stream, *mine, address);
        co_await c.run();
      }
    } else {
      connection<beast::tcp_stream> c(*s, plain, *mine, address);
      co_await c.run();
    }
  } catch (const boost::system::system_error&) {
    // stop() has cancelled us at a co_await; the socket closes with this frame
  }
  s->live.erase(mine);
  s->changed.cancel();
}

io::task<void> server::state::accept_all(std::shared_ptr<state> s) {
  error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  while (!s->stopping) {
    if (s->live.size() >= s->options.max_connections) {  // the rest waits in the listen queue
      co_await s->changed.async_wait(token);
      continue;
    }
    tcp::socket socket = co_await s->acceptor.async_accept(token);
    if (s->stopping || ec == asio::error::operation_aborted) co_return;
    if (ec) {
      const bool waited = co_await io::sleep_for(accept_pause);
      if (!waited) co_return;
      continue;
    }
    s->tasks.spawn(serve(s, std::move(socket)));
  }
}

result<void> server::state::load_tls() {
  if (!options.tls) return {};
  tls.emplace(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  error_code ec;
  tls->use_certificate_chain_file(options.tls->certificate_chain.string(), ec);
  if (ec)
    return fail(errc::invalid_argument, "certificate_chain",
                "no PEM certificate can be read from " + options.tls->certificate_chain.string());
  tls->use_private_key_file(options.tls->private_key.string(), asio::ssl::context::pem, ec);
  if (ec)
    return fail(errc::invalid_argument, "private_key",
                "no PEM private key that fits the certificate can be read from " + options.tls->private_key.string());
  return {};
}

result<void> server::state::bind() {
  error_code ec;
  const auto address = asio::ip::make_address(options.address == "localhost" ? "127.0.0.1" : options.address, ec);
  if (ec) return fail(errc::invalid_argument, "address", "'" + options.address + "' is no IP address to listen on");
  const tcp::endpoint at(address, options.port);
  const auto where = "listen on " + options.address + " port " + std::to_string(options.port);
  acceptor.open(at.protocol(), ec);
  if (ec) return fail(errno_error(ec.value(), where));
  acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  acceptor.bind(at, ec);
  if (ec == asio::error::address_in_use)
    return fail(errc::unavailable, "port",
                where + ": another program uses this port: stop it ('ss -ltnp' names it) or choose another port");
  if (ec == asio::error::access_denied)
    return fail(errc::permission_denied, "port",
                where + ": not allowed: choose a port above 1023 or grant CAP_NET_BIND_SERVICE");
  if (ec) return fail(errno_error(ec.value(), where));
  acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec == asio::error::address_in_use)
    return fail(errc::unavailable, "port",
                where + ": another program uses this port: stop it ('ss -ltnp' names it) or choose another port");
  if (ec) return fail(errno_error(ec.value(), where));
  port = acceptor.local_endpoint(ec).port();
  return {};
}

server::server(io::executor ex, router routes, server_options options)
    : state_(std::make_shared<state>(std::move(ex), std::move(routes), std::move(options))) {}

server::~server() {
  state_->stopping = true;
  error_code ec;
  state_->acceptor.close(ec);
  state_->changed.cancel();
  for (auto& c : state_->live) c.stream->close();
}

result<void> server::start() {
  CHECK(state_->load_tls());
  auto bound = state_->bind();
  if (!bound) {
    error_code ec;
    state_->acceptor.close(ec);
    return bound;
  }
  state_->tasks.spawn(state::accept_all(state_));
  return {};
}

std::uint16_t server::port() const noexcept { return state_->port; }

io::task<void> server::stop(milliseconds grace) {
  const auto s = state_;
  s->stopping = true;
  error_code ec;
  s->acceptor.close(ec);
  s->changed.cancel();
  for (auto& c : s->live)
    if (c.idle) c.stream->close();

  asio::steady_timer over(s->ex, grace);
  const auto expired = std::make_shared<bool>(false);
  over.async_wait([s, expired](error_code e) {
    if (e) return;
    *expired = true;
    s->changed.cancel();
  });
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  while (!s->live.empty() && !*expired) co_await s->changed.async_wait(token);
  over.cancel();
  for (auto& c : s->live) c.stream->close();
  co_await s->tasks.stop();
}

}  // namespace evp::http
