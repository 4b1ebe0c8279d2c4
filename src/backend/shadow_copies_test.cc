// Shadow writes: what is copied, what is not, and that devices notice nothing, under a network that the test plays.
#include "backend/shadow_copies.h"

#include <unistd.h>

#include "backend/test_world.h"

namespace evp::backend {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct shadow_copies_test : world {
  shadow_copies_test() {
    network_.answer = [this](const http::request& r) { return reply(r); };
  }
  ~shadow_copies_test() override { close(); }  // before what its network uses
  void SetUp() override {
    add_default_service();
    add_device();
    auto other = input("new");
    other.options["endpoint"] = secret("https://elsewhere.example");
    other.headers = {{"x-kind", "photo"}};
    ASSERT_TRUE(run(b_->services.create(other)));
    b_->end_watches();  // the backend's own copies end with them
    copies_.emplace(ctx_.get_executor(),
                    shadow_context{b_->database, b_->services, b_->ledger, b_->provider_changes, network_, clock_,
                                   folder_.path(), [] { return false; }, limits_of_copies_});
    shadow(true);
    ASSERT_TRUE(run(copies_->copy_some()));  // from here on
  }
  void TearDown() override { run(stopped()); }
  io::task<bool> stopped() {
    co_await copies_->stop();
    copies_.reset();
    co_return true;
  }
  void shadow(bool on, int percent = 0) {
    change_input in;
    in.to = "new";
    in.percent = percent;
    in.shadow = on;
    ASSERT_TRUE(run(b_->provider_changes.put("default", in)));
  }
  io::task<result<http::response>> reply(const http::request& r) {
    http::response out;
    const auto url = r.url.reveal();
    const auto object = url.substr(0, url.find('?')).substr(url.find(".example/") + 9);
    if (r.method == "GET") {
      const auto& bytes = cloud_.objects[object];
      out.status = get_status_;
      if (bytes.size() > r.max_response_bytes) co_return fail(errc::too_large, "too large");
      EXPECT_EQ(::write(r.response_fd, bytes.data(), bytes.size()), ssize_t(bytes.size()));
      out.bytes_received = bytes.size();
      co_return out;
    }
    const auto& range = std::get<http::file_range>(r.body);
    std::string bytes(range.length, '\0');
    EXPECT_EQ(::pread(range.fd, bytes.data(), bytes.size(), off_t(range.offset)), ssize_t(bytes.size()));
    EXPECT_EQ(http::find(r.fields, "x-kind"), "photo");
    EXPECT_GT(r.max_send_rate, 0u);
    out.status = put_status_;
    if (put_status_ == 201) copied_[url.substr(0, url.find('?'))] = bytes;
    co_return out;
  }
  /// A whole upload of a device.
  std::string upload_file(const std::string& name, const std::string& bytes = "abc", const std::string& key = "") {
    auto request = ask(name, name);
    if (!key.empty()) request.key = key;
    const auto g = run(b_->grants.issue("cam-1", request, wire::dialect::evp2));
    EXPECT_FALSE(g.failure);
    cloud_.objects["cam-1/up/" + name] = bytes;
    wire::transfer_report r;
    r.grant_id = g.grant_id;
    r.done = true;
    r.bytes = bytes.size();
    r.http_status = 201;
    EXPECT_TRUE(run(b_->grants.report("cam-1", r)).verified);
    return g.grant_id;
  }
  sql::side_counts figures() { return run(b_->provider_changes.get("default"))->figures.to; }
  std::size_t copy() { return run(copies_->copy_some()).value(); }

  shadow_limits limits_of_copies_{.max_bytes = 10};
  std::optional<shadow_copies> copies_;
  std::map<std::string, std::string> copied_;
  int get_status_ = 200, put_status_ = 201;
};

TEST_F(shadow_copies_test, each_verified_upload_is_copied_once_under_the_same_name) {
  for (const auto* name : {"1", "2", "3"}) upload_file(name, std::string("bytes of ") + name);
  EXPECT_GT(copy(), 0u);
  EXPECT_EQ(copied_.size(), 3u);
  EXPECT_EQ(copied_["https://elsewhere.example/cam-1/up/2"], "bytes of 2");
  EXPECT_EQ(figures().copied, 3);
  EXPECT_EQ(figures().outcomes(), 0) << "copies are no uploads of devices";
  EXPECT_EQ(copy(), 0u);
  upload_file("4");
  copy();
  EXPECT_EQ(figures().copied, 4);
  EXPECT_EQ(network_.sent.size(), 8u);
}

TEST_F(shadow_copies_test, a_copy_that_fails_is_counted_and_the_upload_stays_as_it_is) {
  put_status_ = 503;
  const auto grant = upload_file("1");
  copy();
  EXPECT_EQ(figures().not_copied, 1);
  EXPECT_EQ(run(b_->ledger.get(grant))->state, upload_state::verified);
  get_status_ = 404;
  upload_file("2");
  copy();
  EXPECT_EQ(figures().not_copied, 2);
  EXPECT_THAT(copied_, IsEmpty());
  ASSERT_TRUE(run(b_->provider_changes.watch_once()));
  EXPECT_EQ(run(b_->provider_changes.get("default"))->state, change_state::running);
}

TEST_F(shadow_copies_test, what_is_too_large_or_too_old_is_skipped) {
  upload_file("large", std::string(11, 'x'));
  copy();
  upload_file("late");
  clock_.advance(limits_of_copies_.max_lag + milliseconds(1));
  copy();
  EXPECT_EQ(figures().skipped, 2);
  EXPECT_THAT(network_.sent, IsEmpty());
}

TEST_F(shadow_copies_test, only_what_went_to_the_old_storage_under_this_change_is_copied) {
  upload_file("explicit", "abc", "new");
  shadow(true, 100);
  upload_file("there already");
  copy();
  EXPECT_THAT(network_.sent, IsEmpty());
  shadow(false, 0);
  upload_file("not asked for");
  EXPECT_EQ(copy(), 0u);
  ASSERT_TRUE(run(b_->provider_changes.go_back("default")));
  shadow(true, 0);
  copy();
  EXPECT_THAT(copied_, IsEmpty()) << "another change begins with what comes";
}

}  // namespace
}  // namespace evp::backend
