// What the client sends, how it bounds and explains answers, and how exchanges end.
#include "http/client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <cstdlib>
#include <future>

#include "base/crypto.h"
#include "base/encoding.h"
#include "http/test_certificates.h"
#include "http/test_peer.h"
#include "http/test_run.h"
#include "io/files.h"

namespace evp::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view ok_answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

std::size_t announced_length(const std::string& head) {
  const auto at = head.find("Content-Length: ");
  return at == head.npos ? 0 : std::stoul(head.substr(at + 16));
}

/// Answers every request on a connection, once it has read the announced body.
void answer_all(peer_connection& c) {
  for (std::string head; !(head = c.read_head()).empty();) {
    c.read_bytes(announced_length(head));
    if (!c.write(ok_answer)) return;
  }
}

/// A temporary file that has no name.
io::unique_fd file_with(std::string_view bytes) {
  char name[] = "/tmp/evp-http-test-XXXXXX";
  io::unique_fd fd(::mkstemp(name));
  ::unlink(name);
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n <= 0) std::abort();
    done += std::size_t(n);
  }
  return fd;
}

struct client_test : testing::Test {
  io::asio::io_context context;
  client http{context.get_executor()};

  result<response> send(request r) { return run(context, http.send(std::move(r))); }
  result<response> get(const std::string& url) {
    request r;
    r.url = secret(url);
    return send(std::move(r));
  }
};

/// Keeps what the client sent on its first connection.
struct recorder {
  std::promise<std::string> promise;
  std::string text() { return promise.get_future().get(); }
  test_peer::script script(std::string answer = std::string(ok_answer)) {
    return [this, answer](peer_connection& c) {
      auto all = c.read_head();
      all += c.read_bytes(announced_length(all));
      c.write(answer);
      if (c.number == 0) promise.set_value(all);
    };
  }
};

TEST_F(client_test, a_get_carries_nothing_but_host_and_the_listed_fields) {
  recorder seen;
  test_peer peer(seen.script());
  request r;
  r.url = secret(peer.url("/a/../b%2f%7e//c?x=%20&y"));
  r.fields = {{"X-One", "1"}, {"X-Empty", ""}};
  const auto answer = send(std::move(r));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "ok");
  EXPECT_EQ(find(answer->fields, "content-length"), "2");
  EXPECT_EQ(answer->bytes_received, 2u);
  EXPECT_EQ(seen.text(), "GET /a/../b%2f%7e//c?x=%20&y HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer.port()) +
                             "\r\nX-One: 1\r\nX-Empty:\r\n\r\n");
}

TEST_F(client_test, a_put_carries_its_bytes_with_content_length_and_no_expect) {
  recorder seen;
  test_peer peer(seen.script());
  request r;
  r.method = "PUT";
  r.url = secret(peer.url("/o?sig=1%2B"));
  r.fields = {{"Host", "storage.example"}, {"Content-Type", "image/jpeg"}, {"Content-Length", "5"}};
  r.body = std::string("he\0lo", 5);
  r.hash_body = true;
  const auto answer = send(std::move(r));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->bytes_sent, 5u);
  EXPECT_EQ(answer->sent_sha256, to_hex(sha256(std::string("he\0lo", 5))));
  EXPECT_EQ(seen.text(),
            "PUT /o?sig=1%2B HTTP/1.1\r\nHost: storage.example\r\nContent-Type: image/jpeg\r\n"
            "Content-Length: 5\r\n\r\n" +
                std::string("he\0lo", 5));
}

TEST_F(client_test, an_empty_put_says_content_length_zero) {
  for (const bool with_text : {false, true}) {
    recorder seen;
    test_peer peer(seen.script());
    request r;
    r.method = "PUT";
    r.url = secret(peer.url());
    if (with_text) r.body = std::string();
    r.hash_body = true;
    const auto answer = send(std::move(r));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->sent_sha256, to_hex(sha256("")));
    EXPECT_THAT(seen.text(), HasSubstr("\r\nContent-Length: 0\r\n"));
  }
}

TEST_F(client_test, a_post_and_a_delete_with_a_body_are_sent_as_such) {
  for (const std::string method : {"POST", "PATCH", "DELETE"}) {
    recorder seen;
    test_peer peer(seen.script());
    request r;
    r.method = method;
    r.url = secret(peer.url("/x"));
    r.body = std::string("abc");
    ASSERT_TRUE(send(std::move(r)));
    EXPECT_EQ(seen.text(), method + " /x HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer.port()) +
                               "\r\nContent-Length: 3\r\n\r\nabc");
  }
}

TEST_F(client_test, head_and_delete_without_a_body_have_no_content_length) {
  for (const std::string method : {"HEAD", "DELETE"}) {
    recorder seen;
    test_peer peer(seen.script("HTTP/1.1 200 OK\r\nContent-Length: 7000000\r\n\r\n" +
                               std::string(method == "HEAD" ? 0 : 7'000'000, 'x')));
    request r;
    r.method = method;
    r.url = secret(peer.url("/x"));
    r.max_response_bytes = method == "HEAD" ? 10 : 7'000'000;
    const auto answer = send(std::move(r));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(find(answer->fields, "Content-Length"), "7000000");
    EXPECT_THAT(seen.text(), Not(HasSubstr("Content-Length")));
  }
}

TEST_F(client_test, a_query_directly_after_the_host_gets_its_slash) {
  recorder seen;
  test_peer peer(seen.script());
  ASSERT_TRUE(get(peer.url("?a=b")));
  EXPECT_THAT(seen.text(), testing::StartsWith("GET /?a=b HTTP/1.1\r\n"));
}

TEST_F(client_test, a_range_of_a_file_is_sent_and_hashed) {
  std::string bytes;
  for (int i = 0; bytes.size() < 3'000'000; ++i) bytes += std::to_string(i);
  const auto file = file_with(bytes);
  const auto range = bytes.substr(1000, 2'000'001);
  recorder seen;
  test_peer peer(seen.script());
  request r;
  r.method = "PUT";
  r.url = secret(peer.url());
  r.body = file_range{.fd = file.get(), .offset = 1000, .length = range.size()};
  r.hash_body = true;
  const auto answer = send(std::move(r));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->bytes_sent, range.size());
  EXPECT_EQ(answer->sent_sha256, to_hex(sha256(range)));
  EXPECT_TRUE(seen.text().ends_with("\r\n\r\n" + range));
}

TEST_F(client_test, text_around_a_range_of_a_file_is_sent_and_counted) {
  const auto file = file_with("0123456789");
  recorder seen;
  test_peer peer(seen.script());
  request r;
  r.method = "POST";
  r.url = secret(peer.url());
  r.body = file_range{.fd = file.get(), .offset = 2, .length = 5};
  r.body_prefix = secret("--b\r\n\r\n");
  r.body_suffix = secret("\r\n--b--");
  r.hash_body = true;
  const auto answer = send(std::move(r));
  ASSERT_TRUE(answer) << answer.error().message();
  const std::string body = "--b\r\n\r\n23456\r\n--b--";
  EXPECT_EQ(answer->bytes_sent, body.size());
  EXPECT_EQ(answer->sent_sha256, to_hex(sha256("23456"))) << "the file's own bytes";
  const auto text = seen.text();
  EXPECT_TRUE(text.ends_with("\r\n\r\n" + body));
  EXPECT_THAT(text, HasSubstr("Content-Length: " + std::to_string(body.size())));
}

TEST_F(client_test, a_file_that_shrinks_is_data_corrupt) {
  const auto file = file_with(std::string(1'000'000, 'x'));
  test_peer peer([](peer_connection& c) { c.read_rest(); });
  request r;
  r.method = "PUT";
  r.url = secret(peer.url());
  r.body = file_range{.fd = file.get(), .offset = 0, .length = 1'000'001};
  const auto answer = send(std::move(r));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), errc::data_corrupt);
  EXPECT_THAT(answer.error().message(), HasSubstr("1 bytes are missing"));
}

TEST_F(client_test, an_answer_beyond_its_bound_is_too_large_whether_announced_or_not) {
  for (const std::string head : {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n"}) {
    test_peer peer([&](peer_connection& c) {
      c.read_head();
      c.write(head + "0123456789a\r\n");
    });
    request r;
    r.url = secret(peer.url());
    r.max_response_bytes = 10;
    const auto answer = send(std::move(r));
    ASSERT_FALSE(answer) << head;
    EXPECT_EQ(answer.error().code(), errc::too_large);
  }
}

TEST_F(client_test, a_head_that_never_ends_is_too_large) {
  test_peer peer([](peer_connection& c) {
    c.read_head();
    c.write("HTTP/1.1 200 OK\r\n");
    while (c.write("X-Filler: 0123456789012345678901234567890123456789\r\n")) {}
  });
  const auto answer = get(peer.url());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), errc::too_large);
}

TEST_F(client_test, a_status_line_that_is_none_is_an_error) {
  for (const auto* line : {"HTTP/-.1 \x0f"
                           "00 Continue",
                           "HTTP/1.1 \x0f"
                           "00",
                           "HTTP/1.1 -20 OK"}) {
    test_peer peer([&](peer_connection& c) {
      c.read_head();
      c.write(std::string(line) + "\r\n\r\n");
    });
    const auto answer = get(peer.url());
    ASSERT_FALSE(answer) << line;
    EXPECT_EQ(answer.error().code(), errc::unavailable) << line;
  }
}

TEST_F(client_test, the_head_of_a_good_answer_is_shown_before_its_body_is_written) {
  const auto file = file_with("");
  for (const int status : {404, 206}) {
    test_peer peer([&](peer_connection& c) {
      c.read_head();
      c.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 " + std::to_string(status) +
              " X\r\nX-A: b\r\nContent-Length: 4\r\n\r\nbody");
    });
    int heads = 0;
    request r;
    r.url = secret(peer.url());
    r.response_fd = file.get();
    r.on_head = [&](const response& head) -> result<void> {
      ++heads;
      EXPECT_EQ(head.status, 206);
      EXPECT_EQ(find(head.fields, "x-a"), "b");
      ::lseek(file.get(), 10, SEEK_SET);
      return {};
    };
    ASSERT_TRUE(send(r));
    EXPECT_EQ(heads, status == 206 ? 1 : 0);
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_END), status == 206 ? 14 : 0);
    if (status == 404) continue;
    r.on_head = [](const response&) -> result<void> { return fail(errc::data_corrupt, "not these bytes"); };
    const auto refused = send(std::move(r));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), errc::data_corrupt);
  }
}

TEST_F(client_test, only_a_good_answer_is_written_to_the_descriptor) {
  const auto file = file_with("");
  for (const int status : {404, 200}) {
    test_peer peer([&](peer_connection& c) {
      c.read_head();
      c.write("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: 4\r\n\r\nbody");
    });
    request r;
    r.url = secret(peer.url());
    r.response_fd = file.get();
    const auto answer = send(std::move(r));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, status == 404 ? "body" : "");
    EXPECT_EQ(answer->bytes_received, 4u);
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_END), status == 404 ? 0 : 4);
  }
}

TEST_F(client_test, redirects_are_answers) {
  test_peer peer([](peer_connection& c) {
    c.read_head();
    c.write("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n");
  });
  const auto answer = get(peer.url());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 302);
  EXPECT_EQ(find(answer->fields, "location"), "http://169.254.169.254/");
}

TEST_F(client_test, interim_answers_are_skipped) {
  test_peer peer([](peer_connection& c) {
    const auto head = c.read_head();
    c.write("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n");
    c.read_bytes(announced_length(head));
    c.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nETag: \"x\"\r\n\r\n");
  });
  request r;
  r.method = "PUT";
  r.url = secret(peer.url());
  r.fields = {{"Expect", "100-continue"}};
  r.body = std::string("abc");
  const auto answer = send(std::move(r));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->fields, (headers{{"Content-Length", "0"}, {"ETag", "\"x\""}}));
}

TEST_F(client_test, a_refusal_before_the_body_was_read_is_delivered_as_that_status) {
  const auto file = file_with(std::string(8'000'000, 'x'));
  const test_authority authority;
  const auto server = authority.issue("IP:127.0.0.1");
  for (const bool tls : {false, true}) {
    for (int i = 0; i < 100; ++i) {
      test_peer peer(
          [&](peer_connection& c) {
            c.read_head();
            if (i % 2 == 1) c.read_bytes(300'000);
            c.write("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nless");
            // Returning closes with unread bytes, so the kernel sends a reset behind the answer.
          },
          tls ? server.certificate_pem : "", server.key_pem);
      request r;
      r.method = "PUT";
      r.url = secret(peer.url());
      r.ca_pem = authority.pem();
      r.hash_body = true;
      r.body = file_range{.fd = file.get(), .offset = 0, .length = 8'000'000};
      const auto answer = send(std::move(r));
      ASSERT_TRUE(answer) << "tls " << tls << " try " << i << ": " << answer.error().message();
      EXPECT_EQ(answer->status, 413);
      EXPECT_EQ(answer->body, "less");
      EXPECT_LT(answer->bytes_sent, 8'000'000u);
    }
  }
}

TEST_F(client_test, a_success_before_the_body_was_read_is_no_success) {
  for (int i = 0; i < 20; ++i) {
    test_peer peer([](peer_connection& c) {
      c.read_head();
      c.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    request r;
    r.method = "PUT";
    r.url = secret(peer.url());
    r.body = std::string(16'000'000, 'x');
    const auto answer = send(std::move(r));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), errc::unavailable);
  }
}

TEST_F(client_test, broken_answers_are_unavailable) {
  const std::vector<test_peer::script> scripts = {
      [](peer_connection& c) { c.read_head(); },
      [](peer_connection& c) { c.read_head(), c.reset(); },
      [](peer_connection& c) { c.read_head(), c.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"); },
      [](peer_connection& c) {
        c.read_head(), c.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), c.reset();
      },
      [](peer_connection& c) { c.read_head(), c.write("no HTTP at all\r\n\r\n"); },
      [](peer_connection& c) { c.read_head(), c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"); },
  };
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    test_peer peer(scripts[i]);
    const auto answer = get(peer.url("/private/path?sig=SECRET"));
    ASSERT_FALSE(answer) << i;
    EXPECT_EQ(answer.error().code(), errc::unavailable) << i << answer.error().message();
    EXPECT_THAT(answer.error().message(), Not(HasSubstr("SECRET")));
    EXPECT_THAT(answer.error().message(), Not(HasSubstr("private")));
  }
}

TEST_F(client_test, a_closed_port_is_unavailable_and_an_unknown_host_too) {
  // Taken, so that nobody else listens there, and not listened on.
  const io::unique_fd taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  ASSERT_EQ(::bind(taken.get(), reinterpret_cast<sockaddr*>(&at), length), 0);
  ASSERT_EQ(::getsockname(taken.get(), reinterpret_cast<sockaddr*>(&at), &length), 0);
  const auto url = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port)) + "/";
  EXPECT_EQ(get(url).error().code(), errc::unavailable);
  const auto unknown = get("http://no-such-host.invalid/p?SECRET");
  EXPECT_EQ(unknown.error().code(), errc::unavailable);
  EXPECT_THAT(unknown.error().message(), HasSubstr("no-such-host.invalid: the host's name could not be resolved"));
}

TEST_F(client_test, what_cannot_be_sent_is_refused_with_its_field) {
  const auto refused = [&](auto change) {
    request r;
    r.url = secret("http://127.0.0.1:1/");
    change(r);
    const auto answer = send(std::move(r));
    return answer ? std::string("sent") : std::string(to_string(answer.error().code())) + " " + answer.error().field();
  };
  for (const char* url :
       {"", "/path", "ftp://h/", "file:///etc/passwd", "http://", "http://h/a b", "http://h/\r\nX: y", "http://h/#f",
        "http://u:p@h/", "http://h:99999/", "http://h:x/", "http://[::1/", "http://h/\xc3\xa4"})
    EXPECT_EQ(refused([&](request& r) { r.url = secret(url); }), "invalid_argument url") << url;
  EXPECT_EQ(refused([](request& r) { r.method = "GET /x HTTP/1.1\r\n"; }), "invalid_argument method");
  EXPECT_EQ(refused([](request& r) { r.fields = {{"A", "b\r\nC: d"}}; }), "invalid_argument headers");
  EXPECT_EQ(refused([](request& r) { r.fields = {{"A b", "c"}}; }), "invalid_argument headers");
  EXPECT_EQ(refused([](request& r) { r.fields = {{"Transfer-Encoding", "chunked"}}; }), "invalid_argument headers");
  EXPECT_EQ(refused([](request& r) { r.fields = {{"Content-Length", "3"}}; }), "invalid_argument headers");
  EXPECT_EQ(refused([](request& r) { r.pinned_address = "localhost"; }), "invalid_argument pinned_address");
  EXPECT_EQ(refused([](request& r) { r.via.emplace(); }), "invalid_argument via");
  EXPECT_EQ(refused([](request& r) { r.body = file_range{.fd = -1, .length = 1}; }), "invalid_argument body");
  EXPECT_EQ(refused([](request& r) { r.method = "HEAD", r.body = std::string("x"); }), "invalid_argument body");
}

TEST_F(client_test, connections_are_kept) {
  test_peer peer(answer_all);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(get(peer.url()));
  EXPECT_EQ(peer.connections(), 1);
}

TEST_F(client_test, a_kept_connection_that_died_is_replaced_and_the_body_sent_and_hashed_from_its_start) {
  std::promise<std::string> second;
  test_peer peer([&](peer_connection& c) {
    if (c.number == 0) {
      c.read_head();
      c.write(ok_answer);
      c.read_head();  // the second request: gone without an answer
      return;
    }
    auto all = c.read_head();
    all += c.read_bytes(announced_length(all));
    c.write(ok_answer);
    second.set_value(all);
  });
  ASSERT_TRUE(get(peer.url()));
  request r;
  r.method = "PUT";
  r.url = secret(peer.url());
  r.body = std::string("abcdef");
  r.hash_body = true;
  const auto answer = send(std::move(r));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->sent_sha256, to_hex(sha256("abcdef")));
  EXPECT_TRUE(second.get_future().get().ends_with("\r\n\r\nabcdef"));
}

TEST_F(client_test, a_server_that_says_nothing_ends_in_deadline_exceeded) {
  test_peer peer([](peer_connection& c) { c.wait_for_close(); });
  request r;
  r.url = secret(peer.url());
  r.stall_timeout = 100ms;
  EXPECT_EQ(send(r).error().code(), errc::deadline_exceeded);
  r.stall_timeout = 30s;
  r.total_timeout = 100ms;
  EXPECT_EQ(send(r).error().code(), errc::deadline_exceeded);
}

TEST_F(client_test, a_server_that_stops_reading_ends_in_deadline_exceeded) {
  std::promise<void> over;
  auto wait = over.get_future().share();
  test_peer peer([wait](peer_connection&) { wait.wait(); });
  request r;
  r.method = "PUT";
  r.url = secret(peer.url());
  r.body = std::string(32'000'000, 'x');
  r.stall_timeout = 200ms;
  const auto answer = send(std::move(r));
  over.set_value();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), errc::deadline_exceeded);
}

TEST_F(client_test, a_slow_but_moving_answer_is_no_stall) {
  test_peer peer([](peer_connection& c) {
    c.read_head();
    c.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
    for (int i = 0; i < 8; ++i) {
      std::this_thread::sleep_for(500ms);  // the behaviour under test: a slow peer
      c.write("x");
    }
  });
  request r;
  r.url = secret(peer.url());
  r.stall_timeout = 3s;  // less than all takes, and far more than a piece
  const auto answer = send(std::move(r));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->body, "xxxxxxxx");
}

TEST_F(client_test, waiting_for_a_free_connection_does_not_count_as_connecting) {
  client narrow(context.get_executor(), client_options{.connections_per_host = 1});
  test_peer peer([](peer_connection& c) {
    while (!c.read_head().empty()) {
      std::this_thread::sleep_for(1s);  // for the last one together longer than the connect timeout below
      c.write(ok_answer);
    }
  });
  int good = 0;
  for (int i = 0; i < 4; ++i) {
    request r;
    r.url = secret(peer.url());
    r.connect_timeout = 2s;
    io::asio::co_spawn(context, narrow.send(std::move(r)),
                       [&](std::exception_ptr, result<response> a) { good += a && a->status == 200; });
  }
  context.restart();
  context.run();
  EXPECT_EQ(good, 4);
  EXPECT_EQ(peer.connections(), 1);
}

TEST_F(client_test, cancelling_the_task_ends_the_exchange) {
  std::promise<void> closed;
  test_peer peer([&](peer_connection& c) {
    c.read_head();
    c.wait_for_close();
    closed.set_value();
  });
  request r;
  r.url = secret(peer.url());
  const auto answer = run(context, io::with_deadline(http.send(std::move(r)), 2s, "the exchange"));
  EXPECT_EQ(answer.error().code(), errc::deadline_exceeded);
  EXPECT_EQ(closed.get_future().wait_for(60s), std::future_status::ready);
}

TEST_F(client_test, cancellation_at_any_moment_ends_every_task_once) {
  test_peer peer(answer_all);
  int ended = 0;
  std::vector<std::unique_ptr<io::asio::cancellation_signal>> signals;
  for (int i = 0; i < 200; ++i) {
    signals.push_back(std::make_unique<io::asio::cancellation_signal>());
    request r;
    r.method = "PUT";
    r.url = secret(peer.url());
    r.body = std::string(1000, 'x');
    io::asio::co_spawn(
        context, http.send(std::move(r)),
        io::asio::bind_cancellation_slot(signals.back()->slot(), [&](std::exception_ptr, result<response> a) {
          EXPECT_TRUE(a || a.error().code() == errc::cancelled) << a.error().message();
          ++ended;
        }));
  }
  context.restart();
  for (int i = 0; ended < 200; ++i) {
    context.run_one();
    if (i % 3 == 0) signals[std::size_t(i / 3) % 200]->emit(io::asio::cancellation_type::terminal);
  }
  EXPECT_EQ(ended, 200);
}

TEST_F(client_test, destroying_the_client_cancels_what_is_under_way) {
  test_peer peer([](peer_connection& c) { c.wait_for_close(); });
  int cancelled = 0;
  {
    client brief(context.get_executor());
    for (int i = 0; i < 20; ++i) {
      request r;
      r.url = secret(peer.url());
      io::asio::co_spawn(context, brief.send(std::move(r)), [&](std::exception_ptr, result<response> a) {
        cancelled += !a && a.error().code() == errc::cancelled;
      });
    }
    context.restart();
    for (int i = 0; i < 30 && context.poll_one() > 0; ++i) {}
  }
  context.run();
  EXPECT_EQ(cancelled, 20);
}

TEST(client_teardown_test, an_executor_may_die_with_answers_that_nobody_fetched) {
  test_peer peer(answer_all);
  auto watched = std::make_shared<int>(0);
  {
    io::asio::io_context context;
    client http(context.get_executor());
    request r;
    r.url = secret(peer.url());
    io::asio::co_spawn(context, http.send(std::move(r)),
                       [watched](std::exception_ptr, result<response>) { ++*watched; });
    context.poll();
  }
  EXPECT_EQ(*watched, 0);
  EXPECT_EQ(watched.use_count(), 1);  // the coroutine is gone
}

TEST_F(client_test, progress_is_reported_on_the_executor_and_never_after_the_end) {
  test_peer peer([](peer_connection& c) {
    const auto head = c.read_head();
    for (std::size_t left = announced_length(head); left > 0; left -= std::min<std::size_t>(left, 8'000'000)) {
      c.read_bytes(std::min<std::size_t>(left, 8'000'000));
      std::this_thread::sleep_for(100ms);  // slow enough for more than one report
    }
    c.write(ok_answer);
  });
  std::vector<std::uint64_t> seen;
  bool over = false;
  const auto me = std::this_thread::get_id();
  request r;
  r.method = "PUT";
  r.url = secret(peer.url());
  r.body = std::string(64'000'000, 'x');
  r.on_progress = [&](std::uint64_t sent) {
    EXPECT_FALSE(over);
    EXPECT_EQ(std::this_thread::get_id(), me);
    seen.push_back(sent);
  };
  const auto began = std::chrono::steady_clock::now();
  const auto answer = send(std::move(r));
  const auto took = std::chrono::steady_clock::now() - began;
  over = true;
  context.poll();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->bytes_sent, 64'000'000u);
  ASSERT_GE(seen.size(), 2u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_LE(seen.size(), std::size_t(took / 250ms) + 1) << "four a second";
}

TEST_F(client_test, an_ipv6_address_can_be_the_host) {
  recorder seen;
  test_peer peer(seen.script(), "", "", true);
  ASSERT_TRUE(get(peer.url()));
  EXPECT_THAT(seen.text(), HasSubstr("\r\nHost: [::1]:" + std::to_string(peer.port()) + "\r\n"));
}

TEST_F(client_test, a_pinned_address_keeps_the_host_and_connections_are_not_shared_across_pins) {
  recorder seen;
  test_peer peer([&](peer_connection& c) {
    const auto head = c.read_head();
    c.write(ok_answer);
    if (c.number == 0) seen.promise.set_value(head);
    answer_all(c);
  });
  const auto port = std::to_string(peer.port());
  request r;
  r.url = secret("http://storage.invalid:" + port + "/x");
  r.pinned_address = "127.0.0.1";
  ASSERT_TRUE(send(r));
  EXPECT_THAT(seen.text(), HasSubstr("\r\nHost: storage.invalid:" + port + "\r\n"));
  r.pinned_address.clear();
  EXPECT_EQ(send(r).error().code(), errc::unavailable);  // the kept connection is not for an unpinned request
  r.pinned_address = "127.0.0.2";
  send(r);
  r.pinned_address = "127.0.0.1";
  ASSERT_TRUE(send(r));
  EXPECT_EQ(peer.connections(), 1);
}

TEST_F(client_test, a_proxy_is_used_when_given_and_the_environment_never) {
  recorder seen;
  test_peer proxy_peer(seen.script());
  test_peer target(answer_all);
  ::setenv("http_proxy", proxy_peer.url().c_str(), 1);
  ::setenv("no_proxy", "storage.invalid", 1);
  ASSERT_TRUE(get(target.url()));
  EXPECT_EQ(proxy_peer.connections(), 0);
  request r;
  r.url = secret("http://storage.invalid/a/../b?c");
  r.via = proxy{.host = "127.0.0.1", .port = proxy_peer.port(), .username = "u", .password = secret("p:w")};
  const auto answer = send(std::move(r));
  ::unsetenv("http_proxy");
  ::unsetenv("no_proxy");
  ASSERT_TRUE(answer) << answer.error().message();
  const auto text = seen.text();
  EXPECT_THAT(text, testing::StartsWith("GET http://storage.invalid/a/../b?c HTTP/1.1\r\nHost: storage.invalid\r\n"));
  EXPECT_THAT(text, HasSubstr("Proxy-Authorization: Basic " + to_base64("u:p:w") + "\r\n"));
}

TEST_F(client_test, https_goes_through_a_proxy_by_connect_and_a_refusal_says_what_to_do) {
  for (const int status : {407, 502}) {
    recorder seen;
    test_peer proxy_peer(seen.script("HTTP/1.1 " + std::to_string(status) + " No\r\nContent-Length: 0\r\n\r\n"));
    request r;
    r.url = secret("https://storage.invalid/path?sig=SECRET");
    r.fields = {{"X-Private", "1"}};
    r.via = proxy{.host = "127.0.0.1", .port = proxy_peer.port()};
    const auto answer = send(std::move(r));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), status == 407 ? errc::permission_denied : errc::unavailable);
    EXPECT_THAT(answer.error().message(), HasSubstr(std::to_string(status)));
    const auto text = seen.text();
    EXPECT_THAT(text, testing::StartsWith("CONNECT storage.invalid:443 HTTP/1.1\r\n"));
    EXPECT_THAT(text, Not(HasSubstr("X-Private")));
  }
}

struct client_tls_test : client_test {
  test_authority authority, stranger;
  request to(const test_peer& peer, std::string ca_pem) {
    request r;
    r.url = secret(peer.url("/private?sig=SECRET"));
    r.ca_pem = std::move(ca_pem);
    return r;
  }
  error refusal(const issued& server, std::string ca_pem) {
    test_peer peer(answer_all, server.certificate_pem, server.key_pem);
    auto answer = send(to(peer, std::move(ca_pem)));
    return answer ? error(errc::internal, "was accepted") : std::move(answer).error();
  }
};

TEST_F(client_tls_test, the_given_bundle_alone_is_trusted) {
  const auto server = authority.issue("IP:127.0.0.1");
  test_peer peer(answer_all, server.certificate_pem, server.key_pem);
  const auto good = send(to(peer, authority.pem()));
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(good->body, "ok");
  EXPECT_TRUE(send(to(peer, stranger.pem() + authority.pem())));
}

TEST_F(client_tls_test, a_connection_opened_with_one_bundle_is_not_used_with_another) {
  const auto server = authority.issue("IP:127.0.0.1");
  test_peer peer(answer_all, server.certificate_pem, server.key_pem);
  ASSERT_TRUE(send(to(peer, authority.pem())));
  ASSERT_TRUE(send(to(peer, authority.pem())));
  EXPECT_EQ(peer.connections(), 1);
  EXPECT_EQ(send(to(peer, stranger.pem())).error().code(), errc::permission_denied);
  EXPECT_EQ(send(to(peer, "")).error().code(), errc::permission_denied);
  ASSERT_TRUE(send(to(peer, authority.pem())));
}

TEST_F(client_tls_test, a_new_connection_resumes_the_tls_session_of_an_earlier_one) {
  const auto server = authority.issue("IP:127.0.0.1");
  std::promise<bool> second;
  test_peer peer(
      [&](peer_connection& c) {
        c.read_head();
        c.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        if (c.number == 1) second.set_value(c.resumed());
      },
      server.certificate_pem, server.key_pem);
  ASSERT_TRUE(send(to(peer, authority.pem())));
  ASSERT_TRUE(send(to(peer, authority.pem())));
  EXPECT_EQ(peer.connections(), 2);
  EXPECT_TRUE(second.get_future().get());
}

TEST_F(client_tls_test, each_flaw_of_a_certificate_has_its_own_advice) {
  const auto unknown = refusal(authority.issue("IP:127.0.0.1"), stranger.pem());
  EXPECT_EQ(unknown.code(), errc::permission_denied);
  EXPECT_THAT(unknown.message(), HasSubstr("configure the certificate of the authority"));
  const auto expired = refusal(authority.issue("IP:127.0.0.1", -7200, -3600), authority.pem());
  EXPECT_EQ(expired.code(), errc::permission_denied);
  EXPECT_THAT(expired.message(), HasSubstr("has expired"));
  const auto early = refusal(authority.issue("IP:127.0.0.1", 3600, 7200), authority.pem());
  EXPECT_EQ(early.code(), errc::permission_denied);
  EXPECT_THAT(early.message(), HasSubstr("not valid yet"));
  const auto misnamed = refusal(authority.issue("DNS:storage.example"), authority.pem());
  EXPECT_EQ(misnamed.code(), errc::permission_denied);
  EXPECT_THAT(misnamed.message(), HasSubstr("for another name"));
  const auto garbage = refusal(authority.issue("IP:127.0.0.1"), "no certificate");
  EXPECT_EQ(garbage.code(), errc::invalid_argument);
  EXPECT_EQ(garbage.field(), "ca_pem");
  for (const auto& e : {unknown, expired, early, misnamed, garbage}) EXPECT_THAT(e.message(), Not(HasSubstr("SECRET")));
}

TEST_F(client_tls_test, a_pinned_address_keeps_the_name_for_tls) {
  const auto server = authority.issue("DNS:storage.invalid");
  test_peer peer(answer_all, server.certificate_pem, server.key_pem);
  request r;
  r.url = secret("https://storage.invalid:" + std::to_string(peer.port()) + "/");
  r.ca_pem = authority.pem();
  r.pinned_address = "127.0.0.1";
  const auto answer = send(r);
  ASSERT_TRUE(answer) << answer.error().message();
}

TEST_F(client_tls_test, a_port_without_tls_is_unavailable) {
  test_peer peer([](peer_connection& c) { c.write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  request r;
  r.url = secret("https://127.0.0.1:" + std::to_string(peer.port()) + "/");
  const auto answer = send(std::move(r));
  EXPECT_EQ(answer.error().code(), errc::unavailable);
  EXPECT_THAT(answer.error().message(), HasSubstr("TLS"));
}

}  // namespace
}  // namespace evp::http
