// One connection of the server: reads requests within their bounds, writes answers. Expensive to compile (Beast): for
// server.cc only.
#pragma once

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include "http/patience.h"
#include "http/server_state.h"

namespace evp::http {

using request_parser = beast::http::request_parser<beast::http::buffer_body>;

/// One connection; Stream is a tcp_stream or TLS over one. Lives in the coroutine that serves it.
template <class Stream>
class server::state::connection final : public body_reader {
 public:
  connection(state& s, Stream& stream, connections::handle mine, std::string peer, std::string certificate)
      : s_(s),
        stream_(stream),
        mine_(mine),
        peer_(std::move(peer)),
        certificate_(std::move(certificate)),
        patience_(lower()),
        buffer_(s.options.max_header_bytes + read_ahead_bytes) {}

  /// Until the client or the server has had enough.
  io::task<void> run() {
    s_.enter(mine_, stage::idle);
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
      const auto left = body_patience(s_.options.stall_timeout, body_read_, body_waited_);
      // Beast reads no more at a time than the buffer has room for; without a reserve that is 512 bytes.
      buffer_.reserve(std::min(std::max(into.size(), std::size_t(512)), read_ahead_bytes));
      const auto asked = s_.clock.steady();
      s_.enter(mine_, stage::body);
      lower().expires_after(left + spare);
      patience_.begin(left);
      co_await beast::http::async_read_some(stream_, buffer_, *parser_, token);
      late_ = patience_.end();
      s_.enter(mine_, stage::work);
      body_waited_ += s_.clock.steady() - asked;
      got = into.size() - body.size;
      if (ec == beast::http::error::need_buffer) ec = {};
      late_ = late_ && ec;
      if (late_) {
        broken_ = true;
        ++s_.live.counts.slow_body;
        co_return fail(errc::deadline_exceeded, "the body comes too slowly");
      }
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

  /// Waits until the client says something, as long as a connection may be idle. False when it does not.
  io::task<bool> begin_head() {
    if (buffer_.size() > 0) co_return true;
    s_.enter(mine_, stage::idle);
    error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    lower().expires_after(s_.options.idle_timeout);
    const auto room = buffer_.prepare(first_bytes);
    const std::size_t n = co_await stream_.async_read_some(room, token);
    buffer_.commit(n);
    co_return !ec && n > 0;
  }

  /// The answer to a head that is none; nothing where the client has gone.
  std::optional<server_response> refuse_head(const error_code& ec, bool late) {
    auto& counts = s_.live.counts;
    broken_ = true;
    if (late) {
      ++counts.slow_head;
      return s_.refuse(408, error(errc::deadline_exceeded, "the request's head came too slowly"));
    }
    if (ec == beast::http::error::header_limit || ec == beast::http::error::buffer_overflow) {
      ++counts.large_head;
      return s_.refuse(431, error(errc::too_large, "the request's head is longer than " +
                                                       std::to_string(s_.options.max_header_bytes) + " bytes"));
    }
    if (!is_parse_error(ec)) return std::nullopt;
    ++counts.malformed;
    return s_.refuse(400, error(errc::invalid_argument, "the request is not well-formed HTTP/1.1"));
  }

  /// One request and its answer. False when the connection is to be closed.
  io::task<bool> exchange() {
    parser_.emplace();
    parser_->header_limit(std::uint32_t(s_.options.max_header_bytes));
    parser_->body_limit(boost::none);  // ours: max_body_
    awaits_continue_ = broken_ = malformed_ = exceeded_ = late_ = false;
    body_read_ = 0;
    body_waited_ = {};
    max_body_ = 0;
    server_request r;
    r.remote_address = peer_;
    r.client_certificate = certificate_;
    pattern_.clear();

    if (buffer_.size() == 0 && s_.stopping) co_return false;
    const bool begun = co_await begin_head();
    if (!begun) co_return false;
    error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    s_.enter(mine_, stage::head);
    lower().expires_after(s_.options.head_timeout + spare);
    patience_.begin(s_.options.head_timeout);
    co_await beast::http::async_read_header(stream_, buffer_, *parser_, token);
    const bool late = patience_.end();
    s_.enter(mine_, stage::work);
    began_ = std::chrono::steady_clock::now();
    if (ec) {
      auto refusal = refuse_head(ec, late);
      if (!refusal) co_return false;  // closed, silent for too long, or reset
      const bool lives = co_await finish(r, std::move(*refusal), false);
      co_return lives;
    }
    auto answer = co_await answer_to(r);
    if (late_) answer = s_.refuse(408, error(errc::deadline_exceeded, "the request's body came too slowly"));
    if (malformed_) ++s_.live.counts.malformed;
    if (broken_ && !malformed_ && !late_) co_return false;
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
    const auto& fields = parser_->get();
    if (std::size_t(std::distance(fields.begin(), fields.end())) > max_fields) {
      ++s_.live.counts.large_head;
      co_return s_.refuse(
          431, error(errc::too_large, "the request's head has more than " + std::to_string(max_fields) + " fields"));
    }
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
    s_.enter(mine_, stage::leaving);
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
  const connections::handle mine_;
  const std::string peer_, certificate_;
  patience patience_;
  beast::flat_buffer buffer_;
  std::optional<request_parser> parser_;
  std::string pattern_;
  steady_time began_{};
  std::uint64_t max_body_ = 0;
  std::uint64_t body_read_ = 0;
  std::chrono::steady_clock::duration body_waited_{};
  bool awaits_continue_ = false;
  bool broken_ = false;     ///< nothing more can be read
  bool malformed_ = false;  ///< because the client's bytes make no sense; an answer can still be sent
  bool exceeded_ = false;
  bool late_ = false;  ///< the body came too slowly; an answer can still be sent
};

}  // namespace evp::http
