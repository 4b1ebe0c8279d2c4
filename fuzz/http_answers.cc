// Fuzzes what a storage may answer: the client, over a real connection, gets any bytes in place of an answer.
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include "http/client.h"
#include "http/test_peer.h"
#include "http/test_run.h"

namespace {

using namespace evp;

constexpr std::uint64_t most = 4096;

/// Answers with the present input, at once or after the request's body, and hangs up.
struct world {
  std::mutex mutex;
  std::string answer;
  http::test_peer peer{[this](http::peer_connection& c) {
    const auto head = c.read_head();
    std::string text;
    {
      const std::lock_guard lock(mutex);
      text = answer;
    }
    if (text.size() % 2 == 0 && head.starts_with("PUT")) c.read_bytes(3);
    c.write(text);
  }};
  boost::asio::io_context context{1};
  http::client client{context.get_executor()};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static std::unique_ptr<world> w;  // a new one now and then: the peer keeps what each connection has left
  static unsigned runs = 0;
  if (runs++ % 1000 == 0) w = std::make_unique<world>();
  {
    const std::lock_guard lock(w->mutex);
    w->answer.assign(reinterpret_cast<const char*>(data), size);
  }
  http::request r;
  r.method = size % 3 == 0 ? "GET" : "PUT";
  r.url = secret(w->peer.url("/object"));
  if (r.method == "PUT") r.body = std::string("abc");
  r.max_response_bytes = most;
  r.total_timeout = milliseconds(2000);
  const auto answer = http::run(w->context, w->client.send(std::move(r)));
  if (answer && (answer->body.size() > most || answer->status < 100 || answer->status > 999)) {
    std::fprintf(stderr, "status %d, %zu bytes of body, for: %.*s\n", answer->status, answer->body.size(), int(size),
                 reinterpret_cast<const char*>(data));
    std::abort();
  }
  return 0;
}
