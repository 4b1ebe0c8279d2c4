// Grants for later with the real disk and HTTP client: asked for, sealed, and used after a restart without the hub.
#include "base/crypto.h"
#include "runtime/upload/test_uploader.h"

namespace evp::runtime::upload {
namespace {

class offline_upload_test : public uploader_test {
 protected:
  void SetUp() override {
    options_.limits.asked_ahead = 1;
    options_.limits.offline_grants = 5;
    options_.retry.backoff_first = options_.retry.backoff_max = std::chrono::hours(1);  // no second try in one run
    serve();
    start();
  }
  /// The second of two files has a grant for later, which its storage has refused to take for now.
  void keep_one() {
    submit(put_order("first", "one"));
    submit(put_order("second", "two"));
    const auto asked = next_request<wire::storage_token_request>(1);
    EXPECT_EQ(asked.filename, "two");
    EXPECT_TRUE(asked.offline);
    EXPECT_TRUE(asked.accepts("offline/1"));
    EXPECT_FALSE(next_request<wire::storage_token_request>(0).offline);
    statuses_ = {503};
    auto grant = grant_for(asked, "/kept?sig=very-secret");
    grant.offline = true;
    grant.expires_in = std::chrono::hours(12);
    grant.grant_id = "g2";
    grant.headers.push_back({"x-token", "also-secret"});
    answer(std::move(grant));
    ASSERT_TRUE(run_until(
        ctx_, [&] { return puts_ == 1 && uploader_->state().transferring() == 0 && !uploader_->state().writing(); }));
  }
  std::string journal() const {
    std::string all;
    for (const auto& e : io::fs::directory_iterator(options_.folder))
      if (e.path().extension() == ".log") all += *io::read_file(e.path(), 1 << 20);
    return all;
  }
};

TEST_F(offline_upload_test, a_file_goes_on_after_a_restart_without_the_hub_and_is_confirmed_when_that_is_back) {
  keep_one();
  restart(false);
  ASSERT_TRUE(run_until(ctx_, [&] { return objects_.contains("/kept?sig=very-secret"); }));
  EXPECT_EQ(objects_.at("/kept?sig=very-secret"), "second");
  EXPECT_EQ(http::find(fields_, "x-token"), "also-secret");
  EXPECT_TRUE(hub_.requests.empty());
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->state().transferring() == 0 && !uploader_->state().writing(); }));

  restart(false);
  uploader_->hub_connected();
  const auto report = next_request<wire::transfer_report>();
  EXPECT_EQ(report.grant_id, "g2");
  EXPECT_EQ(report.bytes, 6U);
  EXPECT_EQ(puts_, 2) << "it is not sent again";
}

TEST_F(offline_upload_test, the_journal_shows_neither_url_nor_header_and_another_key_opens_nothing) {
  keep_one();
  const auto bytes = journal();
  EXPECT_EQ(bytes.find("very-secret"), bytes.npos);
  EXPECT_EQ(bytes.find("also-secret"), bytes.npos);
  EXPECT_EQ(bytes.find("/kept"), bytes.npos);
  EXPECT_NE(bytes.find("g2"), bytes.npos) << "or nothing is kept at all";
  run_task(ctx_, uploader_->stop());
  uploader_.reset();
  ASSERT_TRUE(io::write_file_durably(options_.folder / "key", random_bytes(32)));
  hub_.requests.clear();
  start();
  const std::set<std::string> asked{next_request<wire::storage_token_request>(0).filename,
                                    next_request<wire::storage_token_request>(1).filename};
  EXPECT_EQ(asked, (std::set<std::string>{"one", "two"})) << "both are asked for anew";
  EXPECT_EQ(puts_, 1);
}

TEST_F(offline_upload_test, what_is_sealed_opens_for_its_own_operation_alone) {
  const secret key(random_bytes(32)), url("https://storage/o?sig=1");
  const http::headers fields{{"x-a", "1"}, {"x-b", "b: c"}};
  const auto sealed = store::seal(key, store::kept_grant_of(7), url, fields);
  const auto opened = store::unseal(key, store::kept_grant_of(7), sealed);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->url, url);
  ASSERT_EQ(opened->fields.size(), 2U);
  EXPECT_EQ(opened->fields[1].value, "b: c");
  EXPECT_FALSE(store::unseal(key, store::kept_grant_of(8), sealed));
  EXPECT_FALSE(store::unseal(key, store::own_url_of("7"), sealed));
}

}  // namespace
}  // namespace evp::runtime::upload
