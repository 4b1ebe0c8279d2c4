// Storages that break the rules: each costs its file a clear error, and the next file goes on.
#include "http/test_peer.h"
#include "runtime/upload/test_uploader.h"

namespace evp::runtime::upload {
namespace {

using http::peer_connection;

std::uint64_t length_in(const std::string& head) {
  const auto at = head.find("Content-Length: ");
  return at == head.npos ? 0 : std::stoull(head.substr(at + 16));
}
void read_body(peer_connection& c, const std::string& head) { c.read_bytes(std::size_t(length_in(head))); }

struct misbehaviour {
  const char* name;
  void (*answer)(peer_connection&, const std::string& head);
  blob_outcome expected;
};

class hostile_world : public uploader_test {
 protected:
  /// One transfer at a time, so that a file which hangs would hold up the next; and little patience.
  void impatient() {
    options_.limits.transfers = 1;
    options_.stall_timeout = seconds(1);
    options_.queue.deadline = seconds(5);
  }
  /// A file that goes to `path`; the storage is at base_.
  void send_to(const std::string& path, const std::string& bytes = "the bytes") {
    const auto asked = hub_.of_type<wire::storage_token_request>().size();
    submit(put_order(bytes, path));
    answer(grant_for(next_request<wire::storage_token_request>(asked), path));
  }
  std::vector<blob_outcome>& outcomes(std::size_t count) {
    EXPECT_TRUE(run_until(ctx_, [&] { return module_->outcomes.size() >= count; }));
    return module_->outcomes;
  }
};

class hostile_storage_test : public hostile_world, public testing::WithParamInterface<misbehaviour> {};
class hostile_tls_test : public hostile_world {
 protected:
  /// A storage with that certificate gets no byte of its file; one that is as it should be gets the next.
  void expect_nothing_for(const http::issued& certificate, const std::string& also_trusted = "") {
    http::test_peer peer([](peer_connection& c) { c.read_head(); }, certificate.certificate_pem, certificate.key_pem);
    options_.default_ca_pem = authority_.pem() + also_trusted;
    impatient();
    start();
    base_ = peer.url("");
    send_to("/bad");
    serve(true);
    send_to("/good");
    EXPECT_EQ(outcomes(2)[0].error, EPERM);
    EXPECT_EQ(outcomes(2)[1].result, kind::success);
  }
};

TEST_P(hostile_storage_test, costs_its_file_an_error_and_the_next_goes_on) {
  http::test_peer peer([](peer_connection& c) {
    const auto head = c.read_head();
    if (head.starts_with("PUT /bad")) return GetParam().answer(c, head);
    read_body(c, head);
    c.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  base_ = peer.url("");
  impatient();
  start();
  send_to("/bad", std::string(3'000'000, 'b'));
  send_to("/good");
  const auto& ends = outcomes(2);
  ASSERT_EQ(ends.size(), 2U);
  const bool bad_first = module_->ended_ids[0] < module_->ended_ids[1];
  const auto& bad = ends[bad_first ? 0 : 1];
  EXPECT_EQ(bad.result, GetParam().expected.result);
  EXPECT_EQ(bad.http_status, GetParam().expected.http_status);
  EXPECT_EQ(bad.error, GetParam().expected.error);
  EXPECT_EQ(ends[bad_first ? 1 : 0].result, kind::success);
}

constexpr blob_outcome http_error(unsigned status) { return {kind::error_http, status, 0}; }
constexpr blob_outcome failure(int number) { return {kind::error, 0, number}; }

INSTANTIATE_TEST_SUITE_P(
    ways, hostile_storage_test,
    testing::Values(
        misbehaviour{"a_redirect",
                     [](peer_connection& c, const std::string& head) {
                       read_body(c, head);
                       c.write("HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
                     },
                     http_error(307)},
        misbehaviour{"a_413_before_the_body_is_read",
                     [](peer_connection& c, const std::string&) {
                       c.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                     },
                     http_error(413)},
        misbehaviour{"a_413_and_a_reset",
                     [](peer_connection& c, const std::string&) {
                       c.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                       std::this_thread::sleep_for(std::chrono::milliseconds(50));
                       c.reset();
                     },
                     http_error(413)},
        misbehaviour{"continue_and_then_a_refusal",
                     [](peer_connection& c, const std::string& head) {
                       c.write("HTTP/1.1 100 Continue\r\n\r\n");
                       read_body(c, head);
                       c.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n");
                     },
                     http_error(409)},
        misbehaviour{"continue_without_end",
                     [](peer_connection& c, const std::string& head) {
                       read_body(c, head);
                       while (
                           c.write("HTTP/1.1 100 Continue\r\nX-Filler: 0123456789012345678901234567890123\r\n\r\n")) {}
                     },
                     failure(E2BIG)},
        misbehaviour{"an_answer_that_never_ends",
                     [](peer_connection& c, const std::string& head) {
                       read_body(c, head);
                       c.write("HTTP/1.1 200 OK\r\n\r\n");
                       while (c.write(std::string(65'536, 'x'))) {}
                     },
                     failure(E2BIG)},
        misbehaviour{"no_answer",
                     [](peer_connection& c, const std::string& head) {
                       read_body(c, head);
                       c.wait_for_close();
                     },
                     failure(ETIMEDOUT)},
        misbehaviour{"an_answer_shorter_than_it_says",
                     [](peer_connection& c, const std::string& head) {
                       read_body(c, head);
                       c.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour");
                     },
                     failure(ETIMEDOUT)},
        misbehaviour{"no_http",
                     [](peer_connection& c, const std::string& head) {
                       read_body(c, head);
                       c.write("220 ftp.example.com ready\r\n");
                     },
                     failure(ETIMEDOUT)}),
    [](const auto& p) { return std::string(p.param.name); });

TEST_F(hostile_tls_test, of_a_name_that_is_not_its_certificates_gets_nothing) {
  expect_nothing_for(authority_.issue("DNS:another.example"));
}

TEST_F(hostile_tls_test, with_an_expired_certificate_gets_nothing) {
  expect_nothing_for(authority_.issue("DNS:localhost,IP:127.0.0.1", -7200, -3600));
}

TEST_F(hostile_tls_test, with_an_expired_authority_gets_nothing) {
  const http::test_authority gone(-60);
  expect_nothing_for(gone.issue("DNS:localhost,IP:127.0.0.1"), gone.pem());
}

}  // namespace
}  // namespace evp::runtime::upload
