// A storage for measuring.
#include "storage_double.h"

#include <sys/mman.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace evp::bench {

storage_double::storage_double(std::optional<http::tls_files> tls)
    : zeros_(std::make_shared<io::unique_fd>(::memfd_create("evp-bench", MFD_CLOEXEC))) {
  if (::ftruncate(zeros_->get(), off_t{1} << 40) != 0) std::abort();
  http::router routes;
  http::route_options streamed;
  streamed.max_body = std::uint64_t{1} << 40;
  streamed.streams = true;
  routes.add(
      "PUT", "/{name...}", [this](http::server_request& r) { return put(r); }, streamed);
  const auto look = [this](http::server_request& r) { return head(r); };
  routes.add("HEAD", "/{name...}", look);
  routes.add("GET", "/{name...}", look);
  http::server_options o;
  const bool is_tls = tls.has_value();
  o.tls = std::move(tls);
  server_ = std::make_unique<http::server>(ctx_.get_executor(), std::move(routes), o);
  if (auto started = server_->start(); !started) {
    std::fprintf(stderr, "evp-bench-upload: %s\n", started.error().message().c_str());
    std::exit(1);
  }
  url_ = std::string(is_tls ? "https" : "http") + "://127.0.0.1:" + std::to_string(server_->port());
  thread_ = std::thread([this] { ctx_.run(); });
}

storage_double::~storage_double() {
  auto ending = [](http::server& s) -> io::task<void> { co_await s.stop(milliseconds(100)); };
  boost::asio::co_spawn(ctx_, ending(*server_), boost::asio::detached);
  thread_.join();
}

io::task<http::server_response> storage_double::put(http::server_request& r) {
  std::vector<char> buffer(256 * 1024);
  std::uint64_t size = 0;
  http::server_response answer;
  for (;;) {
    auto part = co_await r.stream->read(buffer);
    if (!part) {
      answer.status = 400;
      co_return answer;
    }
    if (*part == 0) break;
    size += *part;
  }
  sizes_[r.path] = size;
  co_return answer;
}

io::task<http::server_response> storage_double::head(http::server_request& r) {
  http::server_response answer;
  const auto found = sizes_.find(r.path);
  if (r.method == "GET") co_return answer;  // the listing of a bucket: it is there
  if (found == sizes_.end()) {
    answer.status = 404;
  } else {
    answer.body = http::file_body{zeros_, 0, found->second};
  }
  co_return answer;
}

}  // namespace evp::bench
