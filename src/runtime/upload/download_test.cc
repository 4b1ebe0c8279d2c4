// Downloads: whole or not at all, and gone on with where they were cut off.
#include <sys/xattr.h>
#include <unistd.h>

#include "http/test_peer.h"
#include "runtime/upload/download_file.h"
#include "runtime/upload/test_uploader.h"

namespace evp::runtime::upload {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A storage that answers each connection as the test says, and keeps the heads of the requests.
class download_test : public uploader_test {
 protected:
  using answers = std::vector<std::string>;
  std::string storage(answers all) {
    peer_ = std::make_unique<http::test_peer>([this, all = std::move(all)](http::peer_connection& c) {
      const auto head = c.read_head();
      {
        const std::lock_guard lock(mutex_);
        heads_.push_back(head);
      }
      c.write(all.at(std::min(std::size_t(c.number), all.size() - 1)));  // and hangs up
    });
    return peer_->url("/object");
  }
  std::string request(std::size_t n) {
    const std::lock_guard lock(mutex_);
    return n < heads_.size() ? heads_[n] : "(no such request)";
  }
  std::size_t requests() {
    const std::lock_guard lock(mutex_);
    return heads_.size();
  }
  void SetUp() override { ASSERT_TRUE(io::write_file_durably(folder_ / "target", "old")); }

  std::mutex mutex_;
  std::vector<std::string> heads_;
  std::unique_ptr<http::test_peer> peer_;
};

std::string whole(std::string_view body, std::string_view etag, std::size_t length) {
  return "HTTP/1.1 200 OK\r\nETag: " + std::string(etag) + "\r\nContent-Length: " + std::to_string(length) +
         "\r\n\r\n" + std::string(body);
}
std::string rest(std::string_view body, std::string_view range, std::size_t length) {
  return "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: " + std::string(range) +
         "\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" + std::string(body);
}

TEST_F(download_test, a_download_that_is_cut_off_goes_on_where_it_was) {
  const auto url =
      storage({whole("0123", "\"v1\"", 10), rest("45", "bytes 4-9/10", 6), rest("6789", "bytes 6-9/10", 4)});
  start();
  submit(get_order(url));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(outcome().http_status, 200U);
  EXPECT_EQ(target(), "0123456789");
  EXPECT_THAT(request(0), Not(HasSubstr("Range:")));
  EXPECT_THAT(request(1), HasSubstr("\r\nRange: bytes=4-\r\nIf-Range: \"v1\"\r\n"));
  EXPECT_THAT(request(2), HasSubstr("\r\nRange: bytes=6-\r\n"));
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(download_test, it_goes_on_after_a_restart_too) {
  const auto url = storage({whole("0123", "\"v1\"", 10), rest("456789", "bytes 4-9/10", 6)});
  options_.retry.backoff_first = options_.retry.backoff_max = std::chrono::hours(1);
  start();
  submit(get_order(url));
  ASSERT_TRUE(run_until(ctx_, [&] { return requests() == 1; }));
  ASSERT_TRUE(run_until(ctx_, [&] { return leftovers().size() == 1 && io::fs::file_size(leftovers()[0]) == 4; }));
  EXPECT_EQ(target(), "old");
  restart();
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->live() == 0; }));
  EXPECT_THAT(request(1), HasSubstr("\r\nRange: bytes=4-\r\n"));
  EXPECT_EQ(target(), "0123456789");
}

TEST_F(download_test, an_object_that_has_changed_meanwhile_is_fetched_whole) {
  const auto url = storage({whole("0123", "\"v1\"", 10), whole("another", "\"v2\"", 7)});
  start();
  submit(get_order(url));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(target(), "another");
}

TEST_F(download_test, without_a_strong_etag_each_attempt_begins_anew) {
  for (const auto* etag : {"W/\"v1\"", "v1", "\"\""}) {
    heads_.clear();
    module_.reset();
    const auto url = storage({whole("0123", etag, 10), whole("0123456789", etag, 10)});
    start();
    submit(get_order(url));
    EXPECT_EQ(outcome().result, kind::success) << etag;
    EXPECT_EQ(target(), "0123456789");
    EXPECT_THAT(request(1), Not(HasSubstr("Range:"))) << etag;
    run_task(ctx_, uploader_->stop());
    uploader_.reset();
  }
}

TEST_F(download_test, a_storage_that_refuses_the_range_is_asked_for_the_whole_object) {
  const auto url = storage(
      {whole("0123", "\"v1\"", 10), "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n", whole("0123456789", "\"v1\"", 10)});
  start();
  submit(get_order(url));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(target(), "0123456789");
  EXPECT_THAT(request(2), Not(HasSubstr("Range:")));
}

TEST_F(download_test, a_range_that_was_not_asked_for_never_becomes_a_file) {
  for (const auto* range : {"bytes 5-9/10", "bytes 0-5/10", "bytes 4-9", "4-9/10", "bytes 4-9/9", "bytes 9-4/10", ""}) {
    heads_.clear();
    const auto url =
        storage({whole("0123", "\"v1\"", 10), rest("XXXXXX", range, 6), whole("0123456789", "\"v1\"", 10)});
    start();
    submit(get_order(url));
    EXPECT_EQ(outcome().result, kind::success) << range;
    EXPECT_EQ(target(), "0123456789") << range;
    run_task(ctx_, uploader_->stop());
    uploader_.reset();
  }
}

TEST_F(download_test, an_object_that_ends_before_its_announced_length_is_fetched_anew) {
  const auto url =
      storage({whole("0123", "\"v1\"", 10), rest("45", "bytes 4-5/10", 2), whole("0123456789", "\"v1\"", 10)});
  start();
  submit(get_order(url));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(target(), "0123456789");
  EXPECT_EQ(requests(), 3U);
}

TEST_F(download_test, a_failure_leaves_the_old_file_and_nothing_beside_it) {
  const auto url = storage({whole("0123", "\"v1\"", 10), "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"});
  start();
  submit(get_order(url));
  EXPECT_EQ(outcome().http_status, 404U);
  EXPECT_EQ(target(), "old");
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(download_test, what_the_module_puts_into_the_place_of_the_temporary_file_is_not_written_to) {
  ASSERT_TRUE(io::write_file_durably(folder_ / "precious", "precious"));
  io::fs::create_symlink("precious", folder_ / ".evp-1.part");
  io::fs::create_hard_link(folder_ / "precious", folder_ / ".evp-2.part");
  io::fs::create_directory(folder_ / ".evp-3.part");
  ASSERT_EQ(::mkfifo((folder_ / ".evp-4.part").c_str(), 0600), 0);
  const auto url = storage({whole("0123456789", "\"v1\"", 10)});
  start();
  for (int i = 0; i < 4; ++i) {
    module_->outcomes.clear();
    submit(get_order(url));
    EXPECT_EQ(outcome().result, i == 2 ? kind::error : kind::success) << i;  // of a folder it cannot make room
  }
  EXPECT_EQ(io::read_file(folder_ / "precious", 100).value(), "precious");
  EXPECT_EQ(target(), "0123456789");
}

TEST_F(download_test, bytes_from_before_the_machine_started_count_as_nothing) {
  const auto url = storage({whole("0123", "\"v1\"", 10), whole("0123456789", "\"v1\"", 10)});
  options_.retry.backoff_first = options_.retry.backoff_max = std::chrono::hours(1);
  start();
  submit(get_order(url));
  ASSERT_TRUE(run_until(ctx_, [&] { return leftovers().size() == 1 && io::fs::file_size(leftovers()[0]) == 4; }));
  const std::string before = "00000000-0000-0000-0000-000000000000 \"v1\"";
  ASSERT_EQ(::setxattr(leftovers()[0].c_str(), "user.evp.from", before.data(), before.size(), XATTR_REPLACE), 0);
  restart();
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->live() == 0; }));
  EXPECT_THAT(request(1), Not(HasSubstr("Range:")));
  EXPECT_EQ(target(), "0123456789");
}

TEST_F(download_test, a_download_replaces_the_target_only_when_complete) {
  serve();
  start();
  ASSERT_TRUE(io::write_file_durably(folder_ / "target", "old"));
  submit(get_order(base_ + "/missing"));
  EXPECT_EQ(outcome().result, kind::error_http);
  EXPECT_EQ(outcome().http_status, 404U);
  EXPECT_EQ(target(), "old");
  EXPECT_THAT(leftovers(), IsEmpty());

  module_->outcomes.clear();
  objects_["/there"] = std::string(100'000, 'n');
  submit(get_order(base_ + "/there"));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(target(), std::string(100'000, 'n'));
  EXPECT_THAT(leftovers(), IsEmpty());
}

}  // namespace
}  // namespace evp::runtime::upload
