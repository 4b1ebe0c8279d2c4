// Frames as any other SDK builds them, and as no honest SDK would.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/io_context.hpp>
#include <cstring>
#include <random>

#include "module_socket_generated.h"
#include "runtime/sdk_server/socket_server.h"
#include "runtime/sdk_server/test_ports.h"

namespace evp::runtime::socket {
namespace {

namespace fb = evp::module_socket;

class raw_frames : public testing::Test, protected session_world {
 protected:
  raw_frames() : path_((base / "sdk.sock").string()) {
    server_ = *socket_server::listen(ctx_.get_executor(), path_, ::geteuid(), module);
    connect();
  }
  void connect() {
    fd_ = io::unique_fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::strcpy(a.sun_path, path_.c_str());
    ASSERT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    run();
  }
  /// Lets the server do all that can be done without waiting for time.
  void run() {
    ctx_.restart();
    while (ctx_.poll() > 0) ctx_.restart();
  }
  void send(std::uint64_t xid, std::string body, std::uint32_t zero = 0, std::optional<std::uint32_t> size = {}) {
    std::string frame(16, '\0');
    const std::uint32_t n = size.value_or(std::uint32_t(body.size()));
    std::memcpy(frame.data(), &n, 4);
    std::memcpy(frame.data() + 4, &zero, 4);
    std::memcpy(frame.data() + 8, &xid, 8);
    frame += body;
    for (std::size_t at = 0; at < frame.size();) {
      const auto sent = ::send(fd_.get(), frame.data() + at, frame.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0)
        at += std::size_t(sent);
      else if (errno != EAGAIN)
        break;
      run();
    }
    run();
  }
  template <class F>
  static std::string request(fb::RequestBody type, F f) {
    flatbuffers::FlatBufferBuilder b;
    const flatbuffers::Offset<void> body = f(b);
    b.Finish(fb::CreateRequest(b, type, body));
    return {reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize()};
  }
  static std::string poll(std::uint64_t sec, std::uint64_t nsec) {
    return request(fb::RequestBody_GetEvent, [&](auto& b) { return fb::CreateGetEvent(b, sec, nsec).Union(); });
  }
  /// The next frame, or nothing if none has come or the server has closed.
  std::optional<std::pair<std::uint64_t, std::vector<std::uint8_t>>> receive() {
    struct {
      std::uint32_t size, zero;
      std::uint64_t xid;
    } h{};
    if (::recv(fd_.get(), &h, sizeof h, MSG_DONTWAIT) != sizeof h) return {};
    std::vector<std::uint8_t> body(h.size);
    EXPECT_EQ(::recv(fd_.get(), body.data(), body.size(), MSG_DONTWAIT), ssize_t(body.size()));
    return std::pair(h.xid, body);
  }
  bool closed() {
    char c;
    return ::recv(fd_.get(), &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0 || errno == ECONNRESET;
  }
  std::uint32_t simple(const std::vector<std::uint8_t>& body) {
    return flatbuffers::GetRoot<fb::Response>(body.data())->body_as_Simple()->result();
  }

  boost::asio::io_context ctx_;
  std::string path_;
  std::unique_ptr<socket_server> server_;
  io::unique_fd fd_;
};

TEST_F(raw_frames, a_request_of_another_builder_with_the_union_value_first_is_understood) {
  // The layout of other FlatBuffers builders, byte by byte: the vtable behind the tables, fields in declaration order.
  const unsigned char bytes[] = {
      0x04, 0,    0,    0,                       // root at 4
      0xec, 0xff, 0xff, 0xff,                    // Request: its vtable is 20 bytes ahead, at 24
      0x18, 0,    0,    0,                       // value: RequestResendConfig at 8 + 24 = 32
      0x03, 0,    0,    0,                       // type 3
      0,    0,    0,    0,    0,    0, 0,    0,  // padding
      0x08, 0,    0x0c, 0,    0x08, 0, 0x04, 0,  // vtable at 24: 8 bytes, table 12 bytes, type at 8, value at 4
      0x04, 0,    0,    0,                       // RequestResendConfig at 32: its vtable 4 bytes before... see below
      0,    0,    0,    0};
  std::string body(reinterpret_cast<const char*>(bytes), sizeof bytes);
  // The empty table's vtable {4, 4} lies at 36.
  const std::int32_t back = 32 - 36;
  std::memcpy(body.data() + 32, &back, 4);
  const std::uint16_t vtable[] = {4, 4};
  std::memcpy(body.data() + 36, vtable, 4);
  configuration["t"] = "v";
  send(41, body);
  const auto r = receive();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->first, 41u);
  EXPECT_EQ(simple(r->second), 0u);
  EXPECT_TRUE(module->has_event());
}

TEST_F(raw_frames, tokens_come_back_untouched) {
  const std::uint64_t cb = 0xfedcba9876543210, user = 0x8000000000000001;
  send(1, request(fb::RequestBody_StateInput, [&](auto& b) {
         const auto t = b.CreateString("s");
         return fb::CreateStateInput(b, t, 0, cb, user).Union();
       }));
  EXPECT_EQ(simple(receive()->second), 0u);
  module->states_sent();
  send(2, poll(0, 0));
  const auto r = receive();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->first, 2u);
  const auto* out = flatbuffers::GetRoot<fb::Response>(r->second.data())->body_as_Event()->body_as_StateOutput();
  EXPECT_EQ(out->cb(), cb);
  EXPECT_EQ(out->user(), user);
}

TEST_F(raw_frames, a_poll_with_an_impossible_deadline_is_answered_at_once) {
  for (const auto& [sec, nsec] :
       {std::pair<std::uint64_t, std::uint64_t>{0, 0}, {~0ull, 0}, {1, ~0ull}, {1ull << 63, 1ull << 63}}) {
    send(5, poll(sec, nsec));
    const auto r = receive();
    ASSERT_TRUE(r) << sec << " " << nsec;
    EXPECT_EQ(flatbuffers::GetRoot<fb::Response>(r->second.data())->body_as_Event()->body_type(), fb::EventBody_NONE);
  }
}

TEST_F(raw_frames, other_requests_are_answered_while_a_poll_is_pending) {
  send(7, poll(1ull << 62, 0));
  EXPECT_FALSE(receive());
  send(8,
       request(fb::RequestBody_RequestResendConfig, [](auto& b) { return fb::CreateRequestResendConfig(b).Union(); }));
  EXPECT_EQ(receive()->first, 8u);
  module->exit();
  run();
  const auto r = receive();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->first, 7u);
}

TEST_F(raw_frames, an_oversized_frame_is_drained_and_answered_and_the_next_one_is_served) {
  send(9, std::string(400000, 'x'));
  auto r = receive();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->first, 9u);
  EXPECT_EQ(simple(r->second), 6u);
  send(10, poll(0, 0));
  EXPECT_EQ(receive()->first, 10u);
}

TEST_F(raw_frames, an_unknown_tag_closes_the_connection_only) {
  send(1, request(fb::RequestBody(200), [](auto& b) { return fb::CreateRequestResendConfig(b).Union(); }));
  EXPECT_TRUE(closed());
  connect();
  send(2, poll(0, 0));
  EXPECT_EQ(receive()->first, 2u);
}

TEST_F(raw_frames, a_blob_request_whose_tag_is_unknown_or_whose_value_lacks_closes_the_connection) {
  send(1, request(fb::RequestBody_BlobInput, [](auto& b) {
         const auto x = fb::CreateHttpRequestDirect(b, "http://h").Union();
         return fb::CreateBlobInput(b, 2, 1, fb::BlobRequest(99), x).Union();
       }));
  EXPECT_TRUE(closed());
  connect();
  send(1, request(fb::RequestBody_BlobInput,
                  [](auto& b) { return fb::CreateBlobInput(b, 2, 1, fb::BlobRequest_HttpRequest, 0).Union(); }));
  EXPECT_TRUE(closed());
}

TEST_F(raw_frames, texts_that_all_lie_in_one_place_cannot_blow_up_the_server) {
  const auto big = request(fb::RequestBody_TelemetryInput, [](auto& b) {
    const auto value = b.CreateString(std::string(60'000, '1'));
    const std::vector same(10'000, fb::CreateTelemetryEntry(b, value, value));
    return fb::CreateTelemetryInput(b, b.CreateVector(same), 1, 2).Union();
  });
  ASSERT_LT(big.size(), max_message_bytes);
  EXPECT_FALSE(decode_request(std::string(big)));
  const auto headers = request(fb::RequestBody_BlobInput, [](auto& b) {
    const std::vector same(10'000, b.CreateString(std::string(60'000, 'h')));
    const auto r = fb::CreateHttpExtRequest(b, b.CreateString("http://x/"), b.CreateVector(same));
    return fb::CreateBlobInput(b, 1, 1, fb::BlobRequest_HttpExtRequest, r.Union()).Union();
  });
  EXPECT_FALSE(decode_request(std::string(headers)));
}

TEST_F(raw_frames, damaged_messages_never_hurt_the_server) {
  const auto good = request(fb::RequestBody_TelemetryInput, [](auto& b) {
    std::vector<flatbuffers::Offset<fb::TelemetryEntry>> all{fb::CreateTelemetryEntryDirect(b, "key", "[1,2]")};
    return fb::CreateTelemetryInputDirect(b, &all, 1, 2).Union();
  });
  std::mt19937 random(20261122);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    auto bad = good;
    for (int n = 0; n <= i % 4; ++n) bad[random() % bad.size()] = char(random());
    if (i % 5 == 0) bad.resize(1 + random() % bad.size());
    send(1, bad);
    if (closed()) {
      ++refused;
      connect();
    }
    while (receive()) {}
    while (module->has_event()) module->take_event();
  }
  EXPECT_GT(refused, 100);
  send(99, poll(0, 0));
  EXPECT_EQ(receive()->first, 99u);
}

TEST_F(raw_frames, a_bad_header_closes_the_connection) {
  send(1, poll(0, 0), 7);
  EXPECT_TRUE(closed());
  connect();
  send(1, "", 0, 0);
  EXPECT_TRUE(closed());
}

TEST_F(raw_frames, a_second_client_is_turned_away_and_the_first_one_stays) {
  auto first = std::move(fd_);
  connect();
  EXPECT_TRUE(closed());
  fd_ = std::move(first);
  send(3, poll(0, 0));
  EXPECT_EQ(receive()->first, 3u);
}

TEST_F(raw_frames, a_client_of_another_user_is_turned_away) {
  server_.reset();
  auto other = socket_server::listen(ctx_.get_executor(), path_, ::geteuid() + 1, module);
  if (::geteuid() != 0) {  // only root can give a socket to somebody else
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code(), errc::permission_denied);
    return;
  }
  server_ = std::move(*other);
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  connect();
  EXPECT_TRUE(closed());
}

}  // namespace
}  // namespace evp::runtime::socket
