#include "runtime/status_server.h"

#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "runtime/sdk_server/private_socket.h"

namespace evp::runtime {

namespace {
namespace asio = boost::asio;
constexpr std::size_t max_readers = 8;
constexpr seconds patience{5};  // with one that does not read

io::task<result<void>> write_all(asio::local::stream_protocol::socket& to, std::string text) {
  boost::system::error_code ec;
  auto token = asio::redirect_error(asio::use_awaitable, ec);
  co_await asio::async_write(to, asio::buffer(text), token);
  if (ec) co_return fail(errno_error(ec.value(), "write the status"));
  co_return result<void>();
}
}  // namespace

status_server::status_server(io::executor ex, std::function<std::string()> text)
    : text_(std::move(text)), acceptor_(ex), tasks_(ex) {}

result<void> status_server::start(const std::string& path) {
  TRY(const int fd, socket::bind_private_socket(path, ::geteuid()));
  boost::system::error_code ec;
  acceptor_.assign(stream(), fd, ec);
  if (ec) {
    ::close(fd);
    return fail(errno_error(ec.value(), path));
  }
  path_ = path;
  tasks_.spawn(accept());
  return {};
}

io::task<void> status_server::stop() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  co_await tasks_.stop();
  if (!path_.empty()) ::unlink(path_.c_str());
}

io::task<void> status_server::accept() {
  while (acceptor_.is_open()) {
    boost::system::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    auto peer = co_await acceptor_.async_accept(token);
    if (!acceptor_.is_open()) co_return;
    if (ec) {  // out of descriptors, as a rule
      const bool waited = co_await io::sleep_for(milliseconds(100));
      if (!waited) co_return;
      continue;
    }
    if (tasks_.size() <= max_readers) tasks_.spawn(answer(std::move(peer)));
  }
}

io::task<void> status_server::answer(stream::socket peer) {
  auto writing = write_all(peer, text_() + "\n");
  (void)co_await io::with_deadline(std::move(writing), patience, "a reader of the status");
}

}  // namespace evp::runtime
