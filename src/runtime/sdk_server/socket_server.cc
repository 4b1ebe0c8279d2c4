// The frame loop, in callbacks: each handler holds the connection, so that the last one frees it.
#include "runtime/sdk_server/socket_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>

#include "runtime/sdk_server/private_socket.h"

namespace evp::runtime::socket {
namespace {

namespace asio = boost::asio;
using stream = asio::local::stream_protocol::socket;
using boost::system::error_code;

struct header {
  std::uint32_t size, zero;
  std::uint64_t xid;
};
static_assert(sizeof(header) == 16);

// A poll is answered at the latest after this time, whatever deadline it names; the module polls again.
constexpr auto longest_poll = std::chrono::hours(24);

/// How long until the absolute time that the module names; any two numbers are tolerated.
milliseconds wait_for(const get_event& g) {
  if (g.sec > std::uint64_t(INT64_MAX) || g.nsec > 999'999'999) return milliseconds(0);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto sec = seconds(std::min<std::uint64_t>(g.sec, 1ull << 33));
  const auto left = std::chrono::ceil<milliseconds>(sec + std::chrono::nanoseconds(g.nsec) - now);
  return std::clamp<milliseconds>(left, milliseconds(0), longest_poll);
}

class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(stream s, std::shared_ptr<session> module)
      : stream_(std::move(s)), timer_(stream_.get_executor()), session_(std::move(module)) {}

  void start() {
    session_->on_event = [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->answer_poll();
    };
    next();
  }
  bool open() const noexcept { return stream_.is_open(); }
  void close() {
    error_code ignored;
    stream_.close(ignored);
    timer_.cancel();
  }

 private:
  /// Reads on when nothing waits to be written: a module that doesn't read its answers can't make them pile up.
  void next() {
    if (reading_ || writing_ || accepting_ || !open()) return;
    reading_ = true;
    read_header();
  }

  void read_header() {
    asio::async_read(stream_, asio::buffer(&header_, sizeof header_), [self = shared_from_this()](error_code ec, auto) {
      if (ec || self->header_.zero != 0 || self->header_.size == 0) return self->close();
      if (self->header_.size > max_message_bytes) return self->drain(self->header_.size);
      self->read_body();
    });
  }

  void drain(std::size_t left) {
    if (left == 0) {
      reading_ = false;
      return send(header_.xid, encode_simple(answer::toobig));
    }
    buffer_.resize(8192);
    const auto now = std::min(left, buffer_.size() * 8);
    asio::async_read(stream_, asio::buffer(buffer_.data(), now),
                     [self = shared_from_this(), left](error_code ec, auto n) {
                       if (ec) return self->close();
                       self->drain(left - n);
                     });
  }

  void read_body() {
    buffer_.resize((header_.size + 7) / 8);  // words: FlatBuffers are read where they lie, aligned
    asio::async_read(stream_, asio::buffer(buffer_.data(), header_.size),
                     [self = shared_from_this()](error_code ec, auto) {
                       if (ec) return self->close();
                       self->handle();
                     });
  }

  void handle() {
    auto r = decode_request({reinterpret_cast<const char*>(buffer_.data()), header_.size});
    if (!r) return close();
    reading_ = false;
    if (const auto* g = std::get_if<get_event>(&*r)) {
      session_->hear(*g);
      start_poll(*g);
    } else if (auto* blob = std::get_if<blob_input>(&*r)) {
      accepting_ = true;  // one at a time: the answer comes when the operation is durable
      session_->start_blob(std::move(*blob), [weak = weak_from_this(), xid = header_.xid](answer a, std::uint64_t id) {
        const auto self = weak.lock();
        if (!self) return;
        self->accepting_ = false;
        if (!self->open()) return;
        self->send(xid, encode_simple(a, id));
        self->next();
      });
    } else {
      const bool streams = std::holds_alternative<stream_parameters>(*r);
      const auto a = session_->perform(std::move(*r));
      send(header_.xid, streams ? encode_stream_parameters(a) : encode_simple(a));
    }
    next();
  }

  void start_poll(const get_event& g) {
    if (poll_) end_poll(encode_no_event());  // a second poll takes the place of the first
    poll_ = header_.xid;
    timer_.expires_after(wait_for(g));
    timer_.async_wait([self = shared_from_this(), mine = ++polls_](error_code) {
      // A cancelled wait may still arrive: only the timer of the present poll counts.
      if (self->open() && self->poll_ && self->polls_ == mine &&
          self->timer_.expiry() <= std::chrono::steady_clock::now())
        self->end_poll(encode_no_event());
    });
    answer_poll();
  }
  void answer_poll() {
    if (poll_ && open() && session_->has_event()) end_poll(encode(session_->take_event()));
  }
  void end_poll(std::string message) {
    const auto xid = *std::exchange(poll_, std::nullopt);
    timer_.cancel();
    send(xid, std::move(message));
  }

  void send(std::uint64_t xid, std::string message) {
    const header h{std::uint32_t(message.size()), 0, xid};
    out_.append(reinterpret_cast<const char*>(&h), sizeof h).append(message);
    if (!writing_) write();
  }
  void write() {
    writing_ = true;
    sending_ = std::exchange(out_, {});
    asio::async_write(stream_, asio::buffer(sending_), [self = shared_from_this()](error_code ec, auto) {
      self->writing_ = false;
      if (ec) return self->close();
      if (!self->out_.empty()) return self->write();
      self->next();
    });
  }

  stream stream_;
  asio::steady_timer timer_;
  std::shared_ptr<session> session_;
  header header_{};
  std::vector<std::uint64_t> buffer_;
  std::optional<std::uint64_t> poll_;
  std::uint64_t polls_ = 0;
  std::string out_, sending_;
  bool reading_ = false;
  bool writing_ = false;
  bool accepting_ = false;
};

bool is_user(stream& s, uid_t user) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(s.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == user;
}

}  // namespace

struct socket_server::state : std::enable_shared_from_this<state> {
  state(io::executor ex, std::string path, uid_t user, std::shared_ptr<session> s)
      : acceptor(ex), retry(ex), path(std::move(path)), user(user), module(std::move(s)) {}

  void accept() {
    acceptor.async_accept([self = shared_from_this()](error_code ec, stream peer) {
      if (!self->acceptor.is_open()) return;
      if (ec) return self->accept_later();
      if (is_user(peer, self->user) && !(self->client && self->client->open())) {
        self->client = std::make_shared<connection>(std::move(peer), self->module);
        self->client->start();
      }
      self->accept();
    });
  }
  /// Out of descriptors, as a rule: waiting helps, spinning does not.
  void accept_later() {
    retry.expires_after(std::chrono::milliseconds(100));
    retry.async_wait([self = shared_from_this()](error_code ec) {
      if (!ec && self->acceptor.is_open()) self->accept();
    });
  }

  asio::local::stream_protocol::acceptor acceptor;
  asio::steady_timer retry;
  std::string path;
  uid_t user;
  std::shared_ptr<session> module;
  std::shared_ptr<connection> client;
};

result<std::unique_ptr<socket_server>> socket_server::listen(io::executor ex, const std::string& path, uid_t user,
                                                             std::shared_ptr<session> s) {
  TRY(const int fd, bind_private_socket(path, user));
  auto st = std::make_shared<state>(std::move(ex), path, user, std::move(s));
  error_code ec;
  st->acceptor.assign(asio::local::stream_protocol(), fd, ec);
  if (ec) {
    ::close(fd);
    return fail(errno_error(ec.value(), path));
  }
  st->accept();
  return std::unique_ptr<socket_server>(new socket_server(std::move(st)));
}

socket_server::~socket_server() {
  error_code ignored;
  state_->acceptor.close(ignored);
  state_->retry.cancel();
  if (state_->client) state_->client->close();
  ::unlink(state_->path.c_str());
}

bool socket_server::connected() const noexcept { return state_->client && state_->client->open(); }

}  // namespace evp::runtime::socket
