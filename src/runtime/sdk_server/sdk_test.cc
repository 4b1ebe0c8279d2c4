// The real SDK against the real server, over a real socket.
#include "evp/sdk.h"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <future>
#include <sstream>
#include <thread>

#include "runtime/sdk_server/socket_server.h"
#include "runtime/sdk_server/test_ports.h"

namespace evp::runtime::socket {
namespace {

using namespace std::chrono_literals;

class sdk_test : public testing::Test, protected session_world {
 protected:
  sdk_test() {
    const auto path = (base / "sdk.sock").string();
    server_ = *socket_server::listen(ctx_.get_executor(), path, ::geteuid(), module);
    thread_ = std::thread([this] { ctx_.run(); });
    ::setenv("EVP_MODULE_SDK_SOCKET_PATH", path.c_str(), 1);
    ::setenv("EVP_MODULE_SDK_DEFAULT_WORKSPACE_PATH", root.c_str(), 1);
    h_ = EVP_initialize();
  }
  ~sdk_test() override {
    runtime([&] { server_.reset(); });
    work_.reset();
    thread_.join();
  }
  /// Runs the function on the runtime's executor and waits for it.
  template <class F>
  void runtime(F f) {
    std::promise<void> done;
    boost::asio::post(ctx_, [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }

  boost::asio::io_context ctx_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{ctx_.get_executor()};
  std::unique_ptr<socket_server> server_;
  std::thread thread_;
  EVP_client* h_ = nullptr;
};

struct seen {
  int calls = 0;
  int reason = -1;
  EVP_BLOB_RESULT result = EVP_BLOB_RESULT_DUMMY;
  int error = 0;
  std::string text;
  EVP_RPC_ID id = 0;
};

void on_blob(EVP_BLOB_CALLBACK_REASON reason, const void* result, void* user) {
  auto& s = *static_cast<seen*>(user);
  ++s.calls;
  s.reason = reason;
  if (result) {
    s.result = static_cast<const EVP_BlobResultEvp*>(result)->result;
    s.error = static_cast<const EVP_BlobResultEvp*>(result)->error;
  }
}

TEST_F(sdk_test, the_workspace_is_the_one_the_runtime_gave) {
  EXPECT_EQ(EVP_getWorkspaceDirectory(h_, EVP_WORKSPACE_TYPE_DEFAULT), root.string());
}

TEST_F(sdk_test, processing_without_an_event_times_out_and_waits_as_long_as_it_was_told) {
  EXPECT_EQ(EVP_processEvent(h_, 0), EVP_TIMEDOUT);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(EVP_processEvent(h_, 50), EVP_TIMEDOUT);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 50ms);
}

TEST_F(sdk_test, a_timeout_of_minus_one_waits_until_something_happens) {
  std::thread later([&] { runtime([&] { module->exit(); }); });
  EXPECT_EQ(EVP_processEvent(h_, -1), EVP_SHOULDEXIT);
  EXPECT_EQ(EVP_processEvent(h_, -1), EVP_SHOULDEXIT);
  later.join();
}

TEST_F(sdk_test, configuration_reaches_the_callback) {
  configuration["upload"] = "{\"a\":1}";
  seen s;
  const auto cb = [](const char* topic, const void* bytes, size_t n, void* user) {
    static_cast<seen*>(user)->text = std::string(topic) + "=" + std::string(static_cast<const char*>(bytes), n);
  };
  EXPECT_EQ(EVP_setConfigurationCallback(h_, cb, &s), EVP_OK);
  EXPECT_EQ(EVP_setConfigurationCallback(h_, cb, &s), EVP_INVAL);
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(s.text, "upload={\"a\":1}");
}

TEST_F(sdk_test, a_state_is_stored_and_told_as_sent) {
  seen s;
  const auto cb = [](EVP_STATE_CALLBACK_REASON r, void* user) { static_cast<seen*>(user)->reason = r; };
  EXPECT_EQ(EVP_sendState(h_, "status", "ok", 2, cb, &s), EVP_OK);
  EXPECT_EQ(EVP_sendState(h_, "status", "\xff", 1, cb, &s), EVP_INVAL);
  runtime([&] { module->states_sent(); });
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(s.reason, EVP_STATE_CALLBACK_REASON_SENT);
  EXPECT_EQ(states["status"], "ok");
}

TEST_F(sdk_test, telemetry_and_messages_are_handed_over) {
  seen s;
  const EVP_telemetry_entry e[] = {{"k", "[1]"}};
  EXPECT_EQ(EVP_sendTelemetry(
                h_, e, 1, [](EVP_TELEMETRY_CALLBACK_REASON r, void* u) { static_cast<seen*>(u)->reason = r; }, &s),
            EVP_OK);
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(s.reason, EVP_TELEMETRY_CALLBACK_REASON_SENT);
  EXPECT_EQ(EVP_sendMessage(
                h_, "nobody", "x", 1,
                [](EVP_MESSAGE_SENT_CALLBACK_REASON r, void* u) { static_cast<seen*>(u)->reason = r; }, &s),
            EVP_OK);
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(s.reason, EVP_MESSAGE_SENT_CALLBACK_REASON_ERROR);
}

TEST_F(sdk_test, a_command_can_be_answered_inside_its_callback) {
  wire::command_response answered;
  static EVP_client* h = nullptr;
  h = h_;
  EXPECT_EQ(EVP_setRpcCallback(
                h_,
                [](EVP_RPC_ID id, const char* method, const char* params, void*) {
                  EXPECT_EQ(std::string(method) + params, "echo{}");
                  EXPECT_EQ(EVP_sendRpcResponse(h, id, nullptr, EVP_RPC_RESPONSE_STATUS_OK, nullptr, nullptr),
                            EVP_INVAL);
                  EXPECT_EQ(EVP_sendRpcResponse(h, id, "[1]", EVP_RPC_RESPONSE_STATUS_OK, nullptr, nullptr), EVP_OK);
                },
                nullptr),
            EVP_OK);
  wire::command_request c;
  c.instance = "up", c.reqid = "1", c.method = "echo", c.params = "{}";
  runtime([&] { EXPECT_TRUE(module->command(c, [&](wire::command_response r) { answered = std::move(r); })); });
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(answered.response, "[1]");
}

std::string contents(int fd) {
  char buffer[100000];
  return std::string(buffer, std::size_t(::pread(fd, buffer, sizeof buffer, 0)));
}

struct memory {
  std::string bytes;
  std::size_t at = 0;
  seen outcome;
};

TEST_F(sdk_test, a_blob_in_memory_is_complete_before_ok_and_its_file_goes_after_the_callback) {
  memory m;
  for (int i = 0; i < 70000; ++i) m.bytes += char('a' + i % 26);
  EVP_BlobLocalStore store{nullptr,
                           [](void* to, size_t n, void* user) {
                             auto& from = *static_cast<memory*>(user);
                             from.bytes.copy(static_cast<char*>(to), n, from.at);
                             from.at += n;
                             return EVP_BLOB_IO_RESULT_SUCCESS;
                           },
                           m.bytes.size()};
  EVP_BlobRequestEvpExt request{"dir/x", nullptr};
  const auto cb = [](EVP_BLOB_CALLBACK_REASON r, const void* result, void* user) {
    on_blob(r, result, &static_cast<memory*>(user)->outcome);
  };
  ASSERT_EQ(EVP_blobOperation(h_, EVP_BLOB_TYPE_EVP_EXT, EVP_BLOB_OP_PUT, &request, &store, cb, &m), EVP_OK);
  runtime([&] {
    ASSERT_EQ(transfers.orders.size(), 1u);
    EXPECT_EQ(transfers.orders[0].remote_name, "dir/x");
    EXPECT_FALSE(transfers.orders[0].storage_name);
    EXPECT_EQ(contents(transfers.orders[0].source->get()), m.bytes);
    EXPECT_TRUE(transfers.orders[0].spool);
    transfers.end(0, {blob_outcome::kind::success, 201, 0});
  });
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(m.outcome.result, EVP_BLOB_RESULT_SUCCESS);
  EXPECT_TRUE(io::fs::is_empty(root / ".evp-spool"));
}

TEST_F(sdk_test, a_blob_is_downloaded_to_memory_in_order) {
  memory m;
  EVP_BlobLocalStore store{nullptr,
                           [](void* from, size_t n, void* user) {
                             static_cast<memory*>(user)->bytes.append(static_cast<char*>(from), n);
                             return EVP_BLOB_IO_RESULT_SUCCESS;
                           },
                           0};
  EVP_BlobRequestHttp request{"http://h/x"};
  const auto cb = [](EVP_BLOB_CALLBACK_REASON r, const void* result, void* user) {
    on_blob(r, result, &static_cast<memory*>(user)->outcome);
  };
  ASSERT_EQ(EVP_blobOperation(h_, EVP_BLOB_TYPE_HTTP, EVP_BLOB_OP_GET, &request, &store, cb, &m), EVP_OK);
  runtime([&] {
    const auto& o = transfers.orders.at(0);
    EXPECT_EQ(o.url.reveal(), "http://h/x");
    std::ofstream(root / o.path) << std::string(100000, 'z');
    transfers.end(0, {blob_outcome::kind::success, 200, 0});
  });
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(m.outcome.result, EVP_BLOB_RESULT_SUCCESS);
  EXPECT_EQ(m.bytes, std::string(100000, 'z'));
  EXPECT_TRUE(io::fs::is_empty(root / ".evp-spool"));
}

TEST_F(sdk_test, a_spooled_blob_leaves_the_workspace_as_soon_as_the_runtime_has_it) {
  EVP_BlobLocalStore store{nullptr,
                           [](void* to, size_t n, void*) {
                             std::memset(to, 'm', n);
                             return EVP_BLOB_IO_RESULT_SUCCESS;
                           },
                           100};
  EVP_BlobRequestEvp request{"x"};
  ASSERT_EQ(EVP_blobOperation(h_, EVP_BLOB_TYPE_EVP, EVP_BLOB_OP_PUT, &request, &store, nullptr, nullptr), EVP_OK);
  EXPECT_EQ(EVP_blobOperationId(h_), 1U);
  EXPECT_TRUE(io::fs::is_empty(root / ".evp-spool"));
}

TEST_F(sdk_test, outcomes_of_earlier_lives_reach_their_callback_and_are_acknowledged_with_the_next_poll) {
  std::string heard;
  const auto cb = [](const EVP_BlobOutcome* o, void* user) {
    *static_cast<std::string*>(user) = std::to_string(o->id) + " " + o->remote_name + " " +
                                       std::to_string(o->is_upload) + " " + std::to_string(int(o->result)) + " " +
                                       std::to_string(o->error);
  };
  EXPECT_EQ(EVP_setBlobOutcomeCallback(h_, nullptr, nullptr), EVP_INVAL);
  EXPECT_EQ(EVP_setBlobOutcomeCallback(h_, cb, &heard), EVP_OK);
  EXPECT_EQ(EVP_setBlobOutcomeCallback(h_, cb, &heard), EVP_INVAL);
  EXPECT_EQ(EVP_processEvent(h_, 0), EVP_TIMEDOUT);
  runtime([&] {
    EXPECT_EQ(transfers.wanted, 1);
    transfers.listener.lock()->ended_earlier(
        {9, wire::blob_operation::put, "photo", {blob_outcome::kind::error, 0, ESTALE}});
  });
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(heard, "9 photo 1 1 " + std::to_string(ESTALE));
  runtime([&] { EXPECT_TRUE(transfers.acknowledged.empty()); });
  EXPECT_EQ(EVP_processEvent(h_, 0), EVP_TIMEDOUT);
  runtime([&] { EXPECT_THAT(transfers.acknowledged, testing::ElementsAre(9U)); });

  const auto file = (root / "a.bin").string();
  EVP_BlobLocalStore store{file.c_str(), nullptr, 0};
  EVP_BlobRequestEvp request{"x"};
  EXPECT_EQ(EVP_setBlobPriority(h_, EVP_BLOB_PRIORITY_HIGH), EVP_OK);
  EXPECT_EQ(EVP_setBlobPriority(h_, EVP_BLOB_PRIORITY(3)), EVP_INVAL);
  ASSERT_EQ(EVP_blobOperation(h_, EVP_BLOB_TYPE_EVP, EVP_BLOB_OP_PUT, &request, &store, nullptr, nullptr), EVP_OK);
  runtime([&] {
    EXPECT_TRUE(transfers.orders.at(0).acknowledges);
    EXPECT_EQ(transfers.orders.at(0).priority, blob_priority::high);
  });
}

TEST_F(sdk_test, progress_reaches_its_callback) {
  std::string heard;
  const auto cb = [](EVP_BLOB_OPERATION_ID id, uint64_t moved, uint64_t total, void* user) {
    *static_cast<std::string*>(user) +=
        std::to_string(id) + ":" + std::to_string(moved) + "/" + std::to_string(total) + " ";
  };
  const auto file = (root / "a.bin").string();
  EVP_BlobLocalStore store{file.c_str(), nullptr, 0};
  EVP_BlobRequestEvp request{"x"};
  ASSERT_EQ(EVP_setBlobProgressCallback(h_, cb, &heard), EVP_OK);
  ASSERT_EQ(EVP_blobOperation(h_, EVP_BLOB_TYPE_EVP, EVP_BLOB_OP_PUT, &request, &store, nullptr, nullptr), EVP_OK);
  EXPECT_EQ(EVP_processEvent(h_, 0), EVP_TIMEDOUT);
  runtime([&] { transfers.move(0, 50); });
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(heard, "1:50/100 ");
  EXPECT_EQ(EVP_setBlobProgressCallback(h_, nullptr, nullptr), EVP_OK);
  EXPECT_EQ(EVP_processEvent(h_, 0), EVP_TIMEDOUT);
  runtime([&] { transfers.move(0, 60); });
  EXPECT_EQ(EVP_processEvent(h_, 0), EVP_TIMEDOUT);
}

TEST_F(sdk_test, a_file_outside_the_workspace_is_an_error_in_the_callback) {
  seen s;
  EVP_BlobLocalStore store{"/etc/hostname", nullptr, 0};
  EVP_BlobRequestEvp request{"x"};
  EXPECT_EQ(EVP_blobOperation(h_, EVP_BLOB_TYPE_EVP, EVP_BLOB_OP_PUT, &request, &store, on_blob, &s), EVP_OK);
  EXPECT_EQ(EVP_processEvent(h_, 5000), EVP_OK);
  EXPECT_EQ(s.result, EVP_BLOB_RESULT_ERROR);
  EXPECT_EQ(s.error, EPERM);
}

TEST_F(sdk_test, a_request_with_headers_arrives_with_them_and_at_most_a_hundred_fit) {
  auto* request = EVP_BlobRequestHttpExt_initialize();
  char url[] = "https://h/x";
  EXPECT_EQ(EVP_BlobRequestHttpExt_setUrl(request, url), EVP_OK);
  EXPECT_EQ(EVP_BlobRequestHttpExt_addHeader(request, "a b", "c"), EVP_INVAL);
  EXPECT_EQ(EVP_BlobRequestHttpExt_addHeader(request, "a", "c\r\nd: e"), EVP_INVAL);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(EVP_BlobRequestHttpExt_addHeader(request, "n", "v"), EVP_OK);
  EXPECT_EQ(EVP_BlobRequestHttpExt_addHeader(request, "n", "v"), EVP_TOOBIG);
  const auto file = (root / "a.bin").string();
  EVP_BlobLocalStore store{file.c_str(), nullptr, 0};
  EXPECT_EQ(EVP_blobOperation(h_, EVP_BLOB_TYPE_HTTP_EXT, EVP_BLOB_OP_PUT, request, &store, nullptr, nullptr), EVP_OK);
  EVP_BlobRequestHttpExt_free(request);
  runtime([&] {
    EXPECT_EQ(transfers.orders.at(0).fields.size(), 100u);
    EXPECT_EQ(transfers.orders.at(0).fields[0], (http::header{"n", "v"}));
  });
}

TEST_F(sdk_test, a_runtime_that_has_gone_means_exit) {
  runtime([&] { server_.reset(); });
  EXPECT_EQ(EVP_processEvent(h_, -1), EVP_SHOULDEXIT);
  EXPECT_EQ(EVP_sendState(h_, "s", "x", 1, nullptr, nullptr), EVP_SHOULDEXIT);
  runtime([&] {
    server_ = *socket_server::listen(ctx_.get_executor(), (base / "again.sock").string(), ::geteuid(), module);
  });
}

TEST(sdk_without_a_runtime, says_what_is_wrong_and_aborts) {
  EXPECT_DEATH(
      {
        ::setenv("EVP_MODULE_SDK_SOCKET_PATH", "/nonexistent/sdk.sock", 1);
        EVP_initialize();
      },
      "cannot connect to the runtime at /nonexistent/sdk.sock: No such file");
}

}  // namespace
}  // namespace evp::runtime::socket
