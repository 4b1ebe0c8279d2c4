// What the server accepts, refuses and bounds, seen by our own client and by raw sockets.
#include "http/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "base/crypto.h"
#include "base/encoding.h"
#include "http/client.h"
#include "http/test_certificates.h"

namespace evp::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

/// A socket of a client that may misbehave.
class raw_client {
 public:
  explicit raw_client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) std::abort();
  }
  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(std::size_t(n));
    }
    return true;
  }
  /// Whether there is something to read, or the end.
  bool answered(int wait_ms = 0) const {
    pollfd p{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&p, 1, wait_ms) == 1;
  }
  /// Until `mark` is there or the server closes.
  std::string read_until(std::string_view mark) {
    std::string all;
    char piece[4096];
    while (all.find(mark) == all.npos) {
      pollfd p{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&p, 1, 60'000) != 1) return all + "[silence]";
      const auto n = ::recv(fd_.get(), piece, sizeof piece, 0);
      if (n < 0) return all + "[reset]";
      if (n == 0) return all + "[closed]";
      all.append(piece, std::size_t(n));
    }
    return all;
  }
  std::string read_all() { return read_until("\x01 never"); }

 private:
  io::unique_fd fd_;
};

server_response text(std::string body) {
  server_response r;
  r.body = std::move(body);
  return r;
}

struct server_test : testing::Test {
  io::asio::io_context context;
  io::asio::executor_work_guard<io::asio::io_context::executor_type> work{context.get_executor()};
  std::thread thread{[this] { context.run(); }};
  client http{context.get_executor()};
  router routes;
  server_options options;
  std::unique_ptr<server> served;
  test_authority authority;
  io::fs::path folder;

  template <class T>
  T wait(io::task<T> t) {
    return io::asio::co_spawn(context, std::move(t), io::asio::use_future).get();
  }

  void add_routes() {
    const auto echo = [](server_request& r) -> io::task<server_response> {
      std::string all = r.method + " " + r.path + "?" + r.query;
      for (const auto& [name, value] : r.parameters) all += " " + name + "=" + value;
      co_return text(all + " [" + r.body + "]");
    };
    routes.add("GET", "/things/{id}", echo);
    routes.add("PUT", "/things/{id}", echo, route_options{.max_body = 10});
    routes.add("GET", "/things/self", [](server_request&) -> io::task<server_response> { co_return text("literal"); });
    routes.add("GET", "/files/{folder}/{name...}", echo);
    routes.add(
        "PUT", "/count",
        [](server_request& r) -> io::task<server_response> {
          std::string piece(100'000, '\0');
          std::size_t total = 0;
          sha256_stream hash;
          while (true) {
            auto got = co_await r.stream->read(std::span<char>(piece));
            if (!got) {
              auto refused = text(got.error().message());
              refused.status = http_status(got.error().code());
              co_return refused;
            }
            if (*got == 0) break;
            total += *got;
            hash.update({piece.data(), *got});
          }
          co_return text(std::to_string(total) + " " + to_hex(hash.finish()));
        },
        route_options{.max_body = 100'000'000, .streams = true});
    routes.add(
        "PUT", "/early",
        [](server_request& r) -> io::task<server_response> {
          char first[10];
          const auto got = co_await r.stream->read(std::span<char>(first));
          auto answer = text(got ? "enough" : "nothing");
          answer.status = 409;
          co_return answer;
        },
        route_options{.max_body = 100'000'000, .streams = true});
    routes.add("GET", "/slow", [](server_request&) -> io::task<server_response> {
      const bool waited = co_await io::sleep_for(300ms);
      co_return text(waited ? "done" : "cancelled");
    });
    routes.add("GET", "/forever", [](server_request&) -> io::task<server_response> {
      const bool waited = co_await io::sleep_for(1h);
      co_return text(waited ? "done" : "cancelled");
    });
    routes.add("GET", "/throws", [](server_request&) -> io::task<server_response> {
      throw std::runtime_error("a defect");
      co_return text("");
    });
    routes.add("GET", "/splits", [](server_request&) -> io::task<server_response> {
      auto answer = text("x");
      answer.fields = {{"X-Good", "1"}, {"X-Bad", "a\r\nSet-Cookie: b"}, {"Content-Length", "7"}};
      co_return answer;
    });
  }

  void start() {
    served = std::make_unique<server>(context.get_executor(), routes, options);
    auto starting = [](server& s) -> io::task<result<void>> { co_return s.start(); };
    const auto started = wait(starting(*served));
    ASSERT_TRUE(started) << started.error().message();
  }
  void stop(milliseconds grace) {
    auto stopping = [](server& s, milliseconds d) -> io::task<bool> {
      co_await s.stop(d);
      co_return true;
    };
    wait(stopping(*served, grace));
  }
  connection_counts count() {
    auto counting = [](server& s) -> io::task<connection_counts> { co_return s.count(); };
    return wait(counting(*served));
  }
  /// What comes back for a request whose second part is sent byte by byte.
  std::string drip(std::string_view at_once, std::string_view slowly) {
    raw_client c(served->port());
    c.write(at_once);
    for (std::size_t i = 0; i < slowly.size() && !c.answered() && c.write(slowly.substr(i, 1)); ++i)
      std::this_thread::sleep_for(20ms);
    return c.read_all();
  }
  void SetUp() override {
    char name[] = "/tmp/evp-http-test-XXXXXX";
    folder = ::mkdtemp(name);
    add_routes();
  }
  void TearDown() override {
    if (served) stop(0ms);
    auto gone = std::promise<void>();
    io::asio::post(context, [&] {
      served.reset();
      gone.set_value();
    });
    gone.get_future().wait();
    work.reset();
    thread.join();
    io::fs::remove_all(folder);
  }

  std::string url(std::string_view target) const {
    return (options.tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(served->port()) +
           std::string(target);
  }
  request to(std::string method, std::string_view target) const {
    request r;
    r.method = std::move(method);
    r.url = secret(url(target));
    if (options.tls) r.ca_pem = authority.pem();
    return r;
  }
  response send(request r) {
    auto answer = wait(http.send(std::move(r)));
    if (!answer) return response{.status = -1, .body = answer.error().message()};
    return std::move(*answer);
  }
  std::string exchange(std::string_view bytes) {
    raw_client c(served->port());
    c.write(bytes);
    return c.read_all();
  }
  void use_tls() {
    const auto mine = authority.issue("IP:127.0.0.1");
    std::ofstream(folder / "chain.pem") << mine.certificate_pem;
    std::ofstream(folder / "key.pem") << mine.key_pem;
    options.tls = tls_files{folder / "chain.pem", folder / "key.pem"};
  }
};

TEST_F(server_test, the_most_specific_route_answers_with_decoded_parameters) {
  start();
  EXPECT_EQ(send(to("GET", "/things/a%20b%2Fc?x=%201")).body, "GET /things/a%20b%2Fc?x=%201 id=a b/c []");
  EXPECT_EQ(send(to("GET", "/things/self")).body, "literal");
  EXPECT_EQ(send(to("GET", "/files/f/a/b%2Fc//d")).body, "GET /files/f/a/b%2Fc//d? folder=f name=a/b/c//d []");
  EXPECT_EQ(send(to("GET", "/files/f/")).status, 404);
  EXPECT_EQ(send(to("GET", "/things/")).status, 404);
  EXPECT_EQ(send(to("GET", "/things/a/b")).status, 404);
  EXPECT_EQ(send(to("GET", "/things/%zz")).status, 400);
  EXPECT_EQ(send(to("GET", "/things/%00")).status, 400);
}

TEST_F(server_test, an_unknown_path_is_404_and_a_wrong_method_405_with_allow) {
  start();
  EXPECT_EQ(send(to("GET", "/nothing")).status, 404);
  const auto wrong = send(to("DELETE", "/things/1"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(find(wrong.fields, "Allow"), "GET, HEAD, PUT");
}

TEST_F(server_test, a_body_beyond_the_route_bound_is_413_announced_or_chunked) {
  start();
  auto r = to("PUT", "/things/1");
  r.body = std::string("0123456789");
  EXPECT_EQ(send(r).body, "PUT /things/1? id=1 [0123456789]");
  r.body = std::string("0123456789a");
  EXPECT_EQ(send(r).status, 413);
  r.body = std::string(20'000'000, 'x');
  EXPECT_EQ(send(r).status, 413);
  EXPECT_THAT(exchange("PUT /things/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n6\r\n012345\r\n5\r\n6789a\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(exchange("PUT /things/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n"),
              HasSubstr("[0123456789]"));
}

TEST_F(server_test, a_streamed_body_arrives_whole) {
  for (const bool tls : {false, true}) {
    if (tls) use_tls();
    start();
    std::string bytes;
    for (int i = 0; bytes.size() < 5'000'000; ++i) bytes += std::to_string(i);
    auto r = to("PUT", "/count");
    r.body = bytes;
    EXPECT_EQ(send(r).body, std::to_string(bytes.size()) + " " + to_hex(sha256(bytes)));
    stop(1s);
  }
}

TEST_F(server_test, an_answer_before_the_end_of_the_body_reaches_the_client) {
  for (const bool tls : {false, true}) {
    if (tls) use_tls();
    start();
    for (int i = 0; i < 20; ++i) {
      auto r = to("PUT", "/early");
      r.body = std::string(8'000'000, 'x');
      const auto answer = send(std::move(r));
      EXPECT_EQ(answer.status, 409) << answer.body;
      EXPECT_EQ(answer.body, "enough");
    }
    stop(0ms);
  }
}

TEST_F(server_test, a_file_is_sent_from_its_range_and_head_tells_its_length) {
  std::string bytes;
  for (int i = 0; bytes.size() < 3'000'000; ++i) bytes += std::to_string(i);
  std::ofstream(folder / "file") << bytes;
  const auto fd = std::make_shared<io::unique_fd>(::open((folder / "file").c_str(), O_RDONLY | O_CLOEXEC));
  routes.add("GET", "/file", [fd](server_request&) -> io::task<server_response> {
    server_response r;
    r.body = file_body{.fd = fd, .offset = 10, .length = 2'000'000};
    co_return r;
  });
  routes.add("GET", "/short", [fd](server_request&) -> io::task<server_response> {
    server_response r;
    r.body = file_body{.fd = fd, .offset = 10, .length = 9'000'000};
    co_return r;
  });
  start();
  auto r = to("GET", "/file");
  r.max_response_bytes = 10'000'000;
  EXPECT_EQ(send(r).body, bytes.substr(10, 2'000'000));
  const auto head = send(to("HEAD", "/file"));
  EXPECT_EQ(find(head.fields, "Content-Length"), "2000000");
  EXPECT_EQ(head.body, "");
  r.url = secret(url("/short"));
  EXPECT_THAT(send(r).body, HasSubstr("closed in the middle of the answer"));
}

struct counted_pieces {
  int left = 3;
  std::promise<void> gone;
  ~counted_pieces() { gone.set_value(); }
};

io::task<std::optional<std::string>> next_of(std::shared_ptr<counted_pieces> p) {
  if (p->left == 0) co_return std::nullopt;
  if (p->left < 0) {
    const bool waited = co_await io::sleep_for(1h);
    co_return waited ? std::optional<std::string>("late") : std::nullopt;
  }
  co_return "piece " + std::to_string(p->left--) + "\n";
}

server_response pieces(std::shared_ptr<counted_pieces> p) {
  server_response r;
  stream_body body;
  body.next = [p] { return next_of(p); };
  r.body = std::move(body);
  return r;
}

TEST_F(server_test, a_stream_is_sent_in_chunks_and_ends_the_connection) {
  routes.add("GET", "/stream", [](server_request&) -> io::task<server_response> {
    co_return pieces(std::make_shared<counted_pieces>());
  });
  for (const bool tls : {false, true}) {
    if (tls) use_tls();
    start();
    const auto answer = send(to("GET", "/stream"));
    EXPECT_EQ(answer.body, "piece 3\npiece 2\npiece 1\n");
    EXPECT_EQ(find(answer.fields, "Transfer-Encoding"), "chunked");
    EXPECT_EQ(find(answer.fields, "Connection"), "close");
    if (!tls) {
      EXPECT_THAT(exchange("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"),
                  HasSubstr("\r\n\r\n8\r\npiece 3\n\r\n8\r\npiece 2\n\r\n8\r\npiece 1\n\r\n0\r\n\r\n"));
      EXPECT_THAT(exchange("GET /stream HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
    }
    stop(1s);
  }
}

TEST_F(server_test, a_stream_ends_when_its_client_goes) {
  auto p = std::make_shared<counted_pieces>();
  p->left = -1;
  auto gone = p->gone.get_future();
  routes.add("GET", "/stream", [&p](server_request&) -> io::task<server_response> { co_return pieces(std::move(p)); });
  start();
  {
    raw_client c(served->port());
    c.write("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(c.read_until("\r\n\r\n"), HasSubstr("chunked"));
    EXPECT_EQ(gone.wait_for(100ms), std::future_status::timeout);
  }
  EXPECT_EQ(gone.wait_for(60s), std::future_status::ready);
}

TEST_F(server_test, requests_on_one_connection_are_answered_in_order_even_when_pipelined) {
  start();
  const auto all = exchange(
      "PUT /things/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
      "GET /things/2 HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /things/3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const auto one = all.find("id=1 [abc]"), two = all.find("id=2 []"), none = all.find("404"),
             three = all.find("id=3 []");
  EXPECT_TRUE(one < two && two < none && none < three && three != all.npos) << all;
  EXPECT_TRUE(all.ends_with("[closed]"));
}

TEST_F(server_test, ambiguous_or_malformed_requests_are_400_and_the_connection_ends) {
  start();
  for (const std::string head : {
           "Host: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
           "Host: h\r\nContent-Length: 3, 4\r\n",
           "Host: h\r\nContent-Length: -3\r\n",
           "Host: h\r\nContent-Length: 0x3\r\n",
           "Host: h\r\nContent-Length: 99999999999999999999999\r\n",
           "Host: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
           "Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
           "Host: h\r\nTransfer-Encoding: gzip\r\n",
           "Host: h\r\nTransfer-Encoding: chunked, identity\r\n",
           "Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
           "Host: h\r\nTransfer-Encoding : chunked\r\n",
           "Host: a\r\nHost: b\r\n",
           "X: no host\r\n",
           "Host: h\r\nX\x01: y\r\n",
       }) {
    const auto answer =
        exchange("PUT /things/1 HTTP/1.1\r\n" + head + "\r\nabcGET /things/smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 ")) << head;
    EXPECT_EQ(answer.find("HTTP/1.1 ", 5), answer.npos) << head << answer;
  }
  EXPECT_THAT(exchange("no HTTP\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(exchange("GET things HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(exchange("PUT /things/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(exchange("GET http://h/things/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), HasSubstr("id=1"));
}

TEST_F(server_test, a_head_beyond_its_bound_is_431) {
  options.max_header_bytes = 1000;
  start();
  EXPECT_THAT(exchange("GET /things/1 HTTP/1.1\r\nHost: h\r\nX: " + std::string(1000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(exchange("GET /" + std::string(1'000'000, 'x')), StartsWith("HTTP/1.1 431 "));
}

TEST_F(server_test, a_connection_that_says_nothing_is_closed) {
  options.idle_timeout = 200ms;
  start();
  EXPECT_EQ(exchange(""), "[closed]");
}

TEST_F(server_test, slow_heads_and_bodies_are_answered_408_and_counted) {
  options.head_timeout = options.stall_timeout = 200ms;
  start();
  // Each byte is in time, the whole is not.
  EXPECT_THAT(drip("", "GET /things/1 HTTP/1.1\r\nHost: h\r\nX-Slow: " + std::string(500, '0')),
              StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(drip("PUT /things/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", ""), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(drip("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n", std::string(500, 'x')),
              StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(count().slow_head, 1u);
  EXPECT_EQ(count().slow_body, 2u);
}

TEST_F(server_test, a_body_may_take_long_that_comes_fast_enough) {
  options.stall_timeout = 3s;
  start();
  raw_client c(served->port());
  c.write("PUT /count HTTP/1.1\r\nHost: h\r\nContent-Length: 12000\r\n\r\n");
  for (int i = 0; i < 24; ++i) {  // 3.6 s and more for all
    c.write(std::string(500, 'x'));
    std::this_thread::sleep_for(150ms);
  }
  EXPECT_THAT(c.read_until("12000 "), StartsWith("HTTP/1.1 200 "));
}

TEST_F(server_test, a_handshake_that_does_not_go_on_is_counted) {
  options.idle_timeout = 200ms;
  use_tls();
  start();
  EXPECT_EQ(exchange("\x16\x03\x01"), "[closed]");
  EXPECT_EQ(count().handshake, 1u);
}

TEST_F(server_test, a_head_of_too_many_fields_is_431) {
  start();
  std::string fields;
  for (int i = 0; i < 200; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
  EXPECT_THAT(exchange("GET /things/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + fields + "\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(count().large_head, 1u);
}

TEST_F(server_test, expect_is_answered_only_when_the_body_is_wanted) {
  start();
  raw_client c(served->port());
  c.write("PUT /things/1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(c.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  c.write("abc");
  EXPECT_THAT(c.read_until("[abc]"), StartsWith("HTTP/1.1 200 "));
  raw_client refused(served->port());
  refused.write("PUT /things/1 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n");
  EXPECT_THAT(refused.read_all(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(server_test, the_gate_answers_before_the_body_and_the_observer_sees_everything) {
  std::mutex mutex;
  std::vector<std::string> seen;
  routes.set_gate([](const server_request& head, const std::string& pattern) -> std::optional<server_response> {
    EXPECT_TRUE(head.body.empty());
    EXPECT_EQ(head.remote_address, "127.0.0.1");
    if (!find(head.fields, "Authorization").empty()) return std::nullopt;
    auto r = text("who are you? " + pattern);
    r.status = 401;
    return r;
  });
  routes.set_error_writer([](int status, const error& e) {
    auto r = text("E " + std::string(to_string(e.code())));
    r.status = status;
    return r;
  });
  routes.set_observer([&](const server_request& r, const std::string& pattern, int status, milliseconds took) {
    const std::lock_guard lock(mutex);
    EXPECT_GE(took, 0ms);
    seen.push_back(r.method + " " + pattern + " " + std::to_string(status));
  });
  start();
  EXPECT_THAT(exchange("PUT /things/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"),
              HasSubstr("who are you? /things/{id}"));
  auto r = to("GET", "/things/1");
  r.fields = {{"Authorization", "x"}};
  EXPECT_EQ(send(r).status, 200);
  EXPECT_EQ(send(to("GET", "/nothing")).body, "E not_found");
  stop(1s);  // the observer runs after the answer has gone out
  EXPECT_EQ(seen, (std::vector<std::string>{"PUT /things/{id} 401", "GET /things/{id} 200", "GET  404"}));
}

TEST_F(server_test, a_handler_can_neither_split_the_answer_nor_end_the_server) {
  start();
  const auto answer = send(to("GET", "/splits"));
  EXPECT_EQ(answer.body, "x");
  EXPECT_EQ(find(answer.fields, "X-Good"), "1");
  EXPECT_EQ(find(answer.fields, "X-Bad"), "");
  EXPECT_EQ(find(answer.fields, "Set-Cookie"), "");
  EXPECT_TRUE(parse_http_date(find(answer.fields, "Date")));
  const auto failed = send(to("GET", "/throws"));
  EXPECT_EQ(failed.status, 500);
  EXPECT_EQ(failed.body, "the server failed\n");
}

TEST_F(server_test, when_all_connections_are_taken_one_that_waits_for_its_client_gives_way) {
  std::promise<void> begun;
  routes.add("GET", "/works", [&begun](server_request&) -> io::task<server_response> {
    begun.set_value();
    const bool waited = co_await io::sleep_for(1s);
    co_return text(waited ? "done" : "cancelled");
  });
  options.max_connections = 2;
  start();
  raw_client drips(served->port());
  drips.write("GET /things/1 HTTP/1.1\r\n");
  raw_client works(served->port());
  works.write("GET /works HTTP/1.1\r\nHost: h\r\n\r\n");
  begun.get_future().wait();  // until then it waits for its client too
  raw_client newcomer(served->port());
  newcomer.write("GET /things/2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(newcomer.read_until("id=2"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(drips.read_all(), "[closed]");
  EXPECT_THAT(works.read_until("done"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(count().displaced, 1u);
}

TEST_F(server_test, when_all_connections_are_at_work_newcomers_wait) {
  auto p = std::make_shared<counted_pieces>();
  p->left = -1;
  routes.add("GET", "/stream", [&p](server_request&) -> io::task<server_response> { co_return pieces(std::move(p)); });
  options.max_connections = 1;
  start();
  auto first = std::make_unique<raw_client>(served->port());
  first->write("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(first->read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  raw_client second(served->port());
  second.write("GET /things/2 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_FALSE(second.answered(100));
  EXPECT_EQ(count().displaced, 0u);
  first.reset();
  EXPECT_THAT(second.read_until("id=2"), StartsWith("HTTP/1.1 200"));
}

TEST_F(server_test, stop_lets_exchanges_end_within_the_grace_and_cuts_the_rest) {
  start();
  raw_client idle(served->port()), slow(served->port()), forever(served->port());
  slow.write("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  forever.write("GET /forever HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(send(to("GET", "/things/1")).status, 200);  // both have been accepted before this one
  stop(3s);
  EXPECT_EQ(idle.read_all(), "[closed]");
  const auto ended = slow.read_all();
  EXPECT_THAT(ended, HasSubstr("done"));
  EXPECT_THAT(ended, HasSubstr("Connection: close"));
  EXPECT_EQ(forever.read_all(), "[closed]");
}

TEST_F(server_test, a_port_in_use_says_what_to_do) {
  start();
  server_options same;
  same.port = served->port();
  server second(context.get_executor(), router(), same);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), errc::unavailable);
  EXPECT_THAT(started.error().message(), HasSubstr("choose another port"));
}

TEST_F(server_test, a_wrong_address_or_wrong_tls_files_are_invalid_arguments) {
  const auto field = [&](server_options o) {
    server wrong(context.get_executor(), router(), o);
    const auto started = wrong.start();
    return started ? "started" : std::string(to_string(started.error().code())) + " " + started.error().field();
  };
  EXPECT_EQ(field({.address = "no.address"}), "invalid_argument address");
  use_tls();
  EXPECT_EQ(field({.tls = tls_files{folder / "missing", folder / "key.pem"}}), "invalid_argument certificate_chain");
  EXPECT_EQ(field({.tls = tls_files{folder / "chain.pem", folder / "missing"}}), "invalid_argument private_key");
  std::ofstream(folder / "other.pem") << authority.issue("IP:127.0.0.1").key_pem;
  EXPECT_EQ(field({.tls = tls_files{folder / "chain.pem", folder / "other.pem"}}), "invalid_argument private_key");
}

TEST_F(server_test, http_1_0_is_answered_and_closed) {
  start();
  const auto answer = exchange("GET /things/1 HTTP/1.0\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(
      answer.ends_with("[]"
                       "[closed]"))
      << answer;
}

TEST(loopback_test, loopback_addresses_are_known) {
  for (const char* yes : {"127.0.0.1", "127.9.9.9", "::1", "localhost"}) EXPECT_TRUE(is_loopback_address(yes)) << yes;
  for (const char* no : {"0.0.0.0", "::", "128.0.0.1", "10.0.0.1", "localhost.example", "127.0.0.1.example", ""})
    EXPECT_FALSE(is_loopback_address(no)) << no;
}

}  // namespace
}  // namespace evp::http
