// The example modules as processes of the real supervisor; only network, engine and hub are doubles.
#include "runtime/modules/test_world.h"

namespace evp::runtime {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class examples_test : public supervised {
 protected:
  std::string contents(std::size_t order) {
    const auto& o = blobs_.orders.at(order);
    std::string out(o.size, '\0');
    EXPECT_EQ(::pread(o.source->get(), out.data(), out.size(), 0), ssize_t(out.size()));
    return out;
  }
  std::size_t files_in_workspace(const std::string& name) {
    std::size_t n = 0;
    for (const auto& e : io::fs::recursive_directory_iterator(workspace(name))) n += e.is_regular_file();
    return n;
  }
};

TEST_F(examples_test, the_camera_uploads_a_picture_when_it_is_configured_and_deletes_the_file_afterwards) {
  s_->configure({{"cam/upload", R"({"intervalSeconds":0.05,"storage":"archive","prefix":"p/"})"}});
  s_->apply(wanting({"cam"}));
  ASSERT_TRUE(until([&] { return blobs_.orders.size() >= 3; }));
  EXPECT_THAT(blobs_.orders[0].remote_name, StartsWith("p/"));
  EXPECT_EQ(blobs_.orders[0].storage_name, "archive");
  EXPECT_THAT(contents(0), StartsWith("\xff\xd8\xff"));
  EXPECT_NE(contents(0), contents(1));
  s_->configure({{"cam/upload", R"({"intervalSeconds":0})"}});
  blobs_.end(0, {blob_outcome::kind::success, 201, 0});
  ASSERT_TRUE(until([&] { return s_->states().contains("cam/last-upload"); }));
  const auto state = s_->states().at("cam/last-upload");
  EXPECT_THAT(state, HasSubstr("\"name\":\"" + blobs_.orders[0].remote_name + "\""));
  EXPECT_THAT(state, HasSubstr("\"size\":" + std::to_string(blobs_.orders[0].size)));
  EXPECT_THAT(state, HasSubstr(R"("result":"success","httpStatus":201)"));
  for (std::size_t i = 1; i < blobs_.orders.size(); ++i) blobs_.end(i, {blob_outcome::kind::error_http, 403, 0});
  EXPECT_TRUE(until([&] { return files_in_workspace("cam") == 0; }));
}

TEST_F(examples_test, the_camera_answers_take_picture_when_the_upload_has_ended) {
  s_->apply(wanting({"cam"}));
  ASSERT_TRUE(until_status("ok"));
  wire::command_request c;
  c.instance = "cam", c.reqid = "1", c.method = "take-picture", c.params = "{}";
  std::optional<wire::command_response> answer;
  ASSERT_TRUE(s_->command(c, [&](wire::command_response r) { answer = std::move(r); }));
  ASSERT_TRUE(until([&] { return blobs_.orders.size() == 1; }));
  EXPECT_FALSE(answer);
  blobs_.end(0, {blob_outcome::kind::success, 201, 0});
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  EXPECT_EQ(answer->status, wire::command_status::ok);
  EXPECT_THAT(answer->response, HasSubstr(R"("result":"success")"));
  c.method = "nonsense";
  answer.reset();
  ASSERT_TRUE(s_->command(c, [&](wire::command_response r) { answer = std::move(r); }));
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  EXPECT_EQ(answer->status, wire::command_status::method_not_found);
}

TEST_F(examples_test, hello_upload_sends_its_greeting_from_memory) {
  const auto bytes = *io::read_file(HELLO_MODULE, 256 << 20);
  transport_.files["http://h/m"] = bytes;
  hash_ = to_hex(sha256(bytes));
  s_->configure({{"hello/upload", "greetings/1.txt"}});
  s_->apply(wanting({"hello"}));
  ASSERT_TRUE(until([&] { return blobs_.orders.size() == 1; }));
  EXPECT_EQ(blobs_.orders[0].remote_name, "greetings/1.txt");
  EXPECT_EQ(contents(0), "Hello from a device that knows no storage.\n");
  blobs_.end(0, {blob_outcome::kind::success, 201, 0});
  EXPECT_TRUE(until([&] { return files_in_workspace("hello") == 0; }));
}

}  // namespace
}  // namespace evp::runtime
