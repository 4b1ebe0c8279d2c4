// A server that asks for clients' certificates: those that show one, those that decline, and sessions that are resumed.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <future>
#include <thread>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/freed.h"
#include "http/server.h"
#include "http/test_certificates.h"

namespace evp::http {
namespace {

using session_ptr = std::unique_ptr<SSL_SESSION, freed<SSL_SESSION_free>>;

struct visit {
  std::string answer;
  bool was_resumed = false;
  std::vector<std::string> asked_for;  ///< names of issuers
  session_ptr session;
};

struct client_certificate_test : testing::Test {
  io::asio::io_context context;
  io::asio::executor_work_guard<io::asio::io_context::executor_type> work{context.get_executor()};
  std::thread thread{[this] { context.run(); }};
  std::unique_ptr<server> served;
  io::fs::path folder;
  test_authority authority;
  const std::unique_ptr<SSL_CTX, freed<SSL_CTX_free>> client{SSL_CTX_new(TLS_client_method())};

  void SetUp() override {
    char name[] = "/tmp/evp-http-test-XXXXXX";
    folder = ::mkdtemp(name);
    write("server", authority.issue("IP:127.0.0.1"));
    write("device", authority.issue("DNS:device"));
  }
  void write(const std::string& name, const issued& what) {
    std::ofstream(folder / (name + ".pem")) << what.certificate_pem;
    std::ofstream(folder / (name + ".key")) << what.key_pem;
  }
  void start(std::string issuer) {
    router routes;
    routes.add("GET", "/who", [](server_request& r) -> io::task<server_response> {
      server_response out;
      out.body = r.client_certificate.empty() ? std::string("nobody") : to_hex(sha256(r.client_certificate));
      co_return out;
    });
    server_options o;
    o.tls = tls_files{folder / "server.pem", folder / "server.key", std::move(issuer)};
    served = std::make_unique<server>(context.get_executor(), std::move(routes), std::move(o));
    auto starting = [](server& s) -> io::task<result<void>> { co_return s.start(); };
    ASSERT_TRUE(io::asio::co_spawn(context, starting(*served), io::asio::use_future).get());
  }
  void TearDown() override {
    auto stopping = [](server& s) -> io::task<void> { co_await s.stop(milliseconds(0)); };
    io::asio::co_spawn(context, stopping(*served), io::asio::use_future).get();
    work.reset();
    thread.join();
    io::fs::remove_all(folder);
  }
  void show(const std::string& name) {
    const auto file = folder / name;
    ASSERT_EQ(SSL_CTX_use_certificate_file(client.get(), (file.string() + ".pem").c_str(), SSL_FILETYPE_PEM), 1);
    ASSERT_EQ(SSL_CTX_use_PrivateKey_file(client.get(), (file.string() + ".key").c_str(), SSL_FILETYPE_PEM), 1);
  }
  std::string shown(const std::string& name) const {
    const std::unique_ptr<BIO, freed<BIO_free_all>> in(BIO_new_file((folder / (name + ".pem")).c_str(), "r"));
    const std::unique_ptr<X509, freed<X509_free>> one(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
    unsigned char digest[32];
    unsigned size = 0;
    X509_digest(one.get(), EVP_sha256(), digest, &size);
    return to_hex({reinterpret_cast<const char*>(digest), size});
  }
  visit ask(SSL_SESSION* session = nullptr) {
    const io::unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(served->port());
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    const std::unique_ptr<SSL, freed<SSL_free>> s(SSL_new(client.get()));
    SSL_set_fd(s.get(), fd.get());
    if (session) SSL_set_session(s.get(), session);
    visit out;
    if (SSL_connect(s.get()) != 1) return out;
    const std::string request = "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    SSL_write(s.get(), request.data(), int(request.size()));
    char bytes[4096];
    for (int n = SSL_read(s.get(), bytes, sizeof bytes); n > 0; n = SSL_read(s.get(), bytes, sizeof bytes))
      out.answer.append(bytes, std::size_t(n));
    out.answer.erase(0, out.answer.find("\r\n\r\n") + 4);
    out.was_resumed = SSL_session_reused(s.get()) == 1;
    out.session.reset(SSL_SESSION_dup(SSL_get0_session(s.get())));
    SSL_set_shutdown(s.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else it is taken for a bad one
    const auto* names = SSL_get0_peer_CA_list(s.get());
    for (int i = 0; i < (names ? sk_X509_NAME_num(names) : 0); ++i) {
      char line[256] = "";
      out.asked_for.emplace_back(X509_NAME_oneline(sk_X509_NAME_value(names, i), line, sizeof line));
    }
    return out;
  }
};

TEST_F(client_certificate_test, what_a_client_shows_reaches_the_route_and_none_is_needed) {
  start("OpenEVP devices");
  EXPECT_EQ(ask().answer, "nobody");
  show("device");
  const auto seen = ask();
  EXPECT_EQ(seen.answer, shown("device")) << "whoever has issued it: the route judges";
  EXPECT_EQ(seen.asked_for, std::vector<std::string>{"/CN=OpenEVP devices"});
}

TEST_F(client_certificate_test, a_resumed_session_keeps_it) {
  start("OpenEVP devices");
  show("device");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SSL_CTX_set_max_proto_version(client.get(), version);
    const auto first = ask();
    const auto again = ask(first.session.get());
    EXPECT_TRUE(again.was_resumed) << version;
    EXPECT_EQ(again.answer, shown("device"));
  }
}

TEST_F(client_certificate_test, a_server_that_does_not_ask_is_shown_none) {
  start("");
  show("device");
  EXPECT_EQ(ask().answer, "nobody");
}

}  // namespace
}  // namespace evp::http
