// The uploader with the real HTTP client against a real HTTP server; the hub is scripted.
#include "base/crypto.h"
#include "base/encoding.h"
#include "runtime/upload/test_uploader.h"

namespace evp::runtime::upload {
namespace {

TEST_F(uploader_test, a_file_lands_where_the_grant_says_and_the_module_hears_of_it) {
  serve();
  start();
  submit(put_order("the bytes"));
  const auto asked = next_request<wire::storage_token_request>();
  EXPECT_EQ(asked.filename, "dir/a b.bin");
  EXPECT_EQ(asked.instance, "up");
  EXPECT_EQ(asked.size, 9U);
  EXPECT_TRUE(asked.accepts("report/1"));
  answer(grant_for(asked, "/bucket/object?sig=a%2Fb"));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(outcome().http_status, 201U);
  EXPECT_EQ(objects_.at("/bucket/object?sig=a%2Fb"), "the bytes");
  EXPECT_EQ(http::find(fields_, "x-test"), "yes");
}

TEST_F(uploader_test, success_waits_for_the_hubs_check_which_gets_size_and_hash) {
  serve();
  start();
  submit(put_order("the bytes"));
  auto grant = grant_for(next_request<wire::storage_token_request>(), "/o");
  grant.grant_id = "g1";
  answer(std::move(grant));
  const auto report = next_request<wire::transfer_report>();
  EXPECT_TRUE(module_->outcomes.empty());
  EXPECT_TRUE(report.done);
  EXPECT_EQ(report.grant_id, "g1");
  EXPECT_EQ(report.bytes, 9U);
  EXPECT_EQ(report.sha256, to_hex(sha256("the bytes")));
  wire::transfer_report_response verified;
  verified.reqid = report.reqid;
  verified.verified = true;
  answer(std::move(verified));
  EXPECT_EQ(outcome().result, kind::success);
}

TEST_F(uploader_test, a_storage_in_trouble_is_tried_again_from_the_first_byte) {
  serve();
  start();
  statuses_ = {503, 500, 201};
  submit(put_order("the bytes"));
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(puts_, 3);
  EXPECT_EQ(objects_.at("/o"), "the bytes");
}

TEST_F(uploader_test, a_redirect_is_an_error_and_not_followed) {
  serve();
  start();
  statuses_ = {307};
  submit(put_order("the bytes"));
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  EXPECT_EQ(outcome().result, kind::error_http);
  EXPECT_EQ(outcome().http_status, 307U);
  EXPECT_EQ(puts_, 1);
}

TEST_F(uploader_test, the_grants_certificate_is_fetched_checked_and_trusted) {
  serve(true);
  start();
  const std::string id = "sha256:" + to_hex(sha256(authority_.pem()));
  submit(put_order("over tls"));
  auto grant = grant_for(next_request<wire::storage_token_request>(), "/o");
  grant.certificate_id = id;
  answer(std::move(grant));
  const auto asked = next_request<wire::certificate_request>();
  EXPECT_EQ(asked.certificate_id, id);
  wire::certificate_response given;
  given.reqid = asked.reqid;
  given.certificate_id = id;
  given.pem = authority_.pem();
  answer(std::move(given));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_TRUE(certificates_.ids().contains(id));

  module_->outcomes.clear();
  submit(put_order("again"));
  auto next = grant_for(next_request<wire::storage_token_request>(1), "/o2");
  next.certificate_id = id;
  answer(std::move(next));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(hub_.of_type<wire::certificate_request>().size(), 1U);
}

TEST_F(uploader_test, a_forged_certificate_is_refused) {
  serve(true);
  start();
  submit(put_order("x"));
  auto grant = grant_for(next_request<wire::storage_token_request>(), "/o");
  grant.certificate_id = "sha256:" + std::string(64, 'a');
  answer(std::move(grant));
  wire::certificate_response forged;
  forged.reqid = next_request<wire::certificate_request>().reqid;
  forged.certificate_id = "sha256:" + std::string(64, 'a');
  forged.pem = authority_.pem();
  answer(std::move(forged));
  EXPECT_EQ(outcome().error, EPERM);
  EXPECT_THAT(objects_, IsEmpty());
}

TEST_F(uploader_test, a_storage_that_the_trusted_bundle_does_not_vouch_for_is_eperm) {
  serve(true);
  start();
  submit(put_order("x"));
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));  // the system's certificates
  EXPECT_EQ(outcome().result, kind::error);
  EXPECT_EQ(outcome().error, EPERM);
  EXPECT_EQ(puts_, 0);
}

TEST_F(uploader_test, a_prefix_grant_gets_the_encoded_name) {
  serve();
  start();
  submit(put_order("x", "写/1"));
  auto grant = grant_for(next_request<wire::storage_token_request>(), "/c/?sig=1");
  grant.multifile = true;
  answer(std::move(grant));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_TRUE(objects_.contains("/c/%E5%86%99%2F1?sig=1"));
}

TEST_F(uploader_test, a_download_by_name_from_a_hub_that_grants_none_is_an_error_and_uploads_nothing) {
  serve();
  start();
  auto order = get_order("");
  order.url = secret();
  order.remote_name = "n";
  submit(std::move(order));
  const auto asked = next_request<wire::storage_token_request>();
  EXPECT_EQ(asked.operation, wire::blob_operation::get);
  answer(grant_for(asked, "/o"));  // an older hub grants a PUT
  EXPECT_EQ(outcome().error, EIO);
  EXPECT_EQ(target(), "(none)");
}

/// A hub that grants uploads in parts of 100 bytes, two in a page.
class parts_test : public uploader_test {
 protected:
  static std::string bytes_of_file() {
    std::string bytes;
    for (int i = 0; i < 550; ++i) bytes += char('a' + i % 26);
    return bytes;
  }
  std::vector<wire::grant_part> page(unsigned first, unsigned count) const {
    std::vector<wire::grant_part> parts;
    for (unsigned n = first; n < first + count && n <= 6; ++n) {
      wire::grant_part p;
      p.number = n;
      p.method = "PUT";
      p.url = secret(base_ + "/part" + std::to_string(n));
      p.offset = (n - 1) * 100;
      p.length = n == 6 ? 50 : 100;
      parts.push_back(std::move(p));
    }
    return parts;
  }
  wire::storage_token_response plan_for(const wire::storage_token_request& r) const {
    wire::storage_token_response g;
    g.reqid = r.reqid;
    g.grant_id = "g1";
    g.plan.emplace();
    g.plan->part_bytes = 100;
    g.plan->part_count = 6;
    g.plan->parallel = 2;
    g.plan->parts = page(1, 2);
    return g;
  }
  void renew(std::size_t index) {
    const auto r = next_request<wire::grant_renew_request>(index);
    wire::grant_renew_response a;
    a.reqid = r.reqid;
    a.parts = page(r.first_part, 2);
    answer(std::move(a));
  }
  std::string assembled() const {
    std::string bytes;
    for (int n = 1; n <= 6; ++n)
      if (const auto o = objects_.find("/part" + std::to_string(n)); o != objects_.end()) bytes += o->second;
    return bytes;
  }
};

TEST_F(parts_test, a_file_goes_up_in_parts_page_by_page_and_the_hub_confirms_it) {
  serve();
  start();
  submit(put_order(bytes_of_file()));
  const auto asked = next_request<wire::storage_token_request>();
  EXPECT_TRUE(asked.accepts("plan/1"));
  answer(plan_for(asked));
  renew(0);
  renew(1);
  const auto report = next_request<wire::transfer_report>();
  EXPECT_EQ(report.bytes, 550U);
  EXPECT_EQ(assembled(), bytes_of_file());
  wire::transfer_report_response verified;
  verified.reqid = report.reqid;
  verified.verified = true;
  answer(std::move(verified));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(puts_, 6);
}

TEST_F(parts_test, after_a_restart_only_the_parts_that_lack_are_sent) {
  serve();
  start();
  submit(put_order(bytes_of_file()));
  answer(plan_for(next_request<wire::storage_token_request>()));
  ASSERT_TRUE(run_until(
      ctx_, [&] { return puts_ == 2 && uploader_->state().transferring() == 0 && !uploader_->state().writing(); }));
  restart();
  EXPECT_EQ(next_request<wire::grant_renew_request>().first_part, 3U);
  renew(0);
  renew(1);
  const auto report = next_request<wire::transfer_report>();
  EXPECT_EQ(report.grant_id, "g1");
  EXPECT_EQ(assembled(), bytes_of_file());
  EXPECT_EQ(puts_, 6);
}

TEST_F(parts_test, a_file_that_changes_between_two_parts_is_a_clear_failure_and_the_hub_is_told_to_give_up) {
  serve();
  start();
  submit(put_order(bytes_of_file()));
  answer(plan_for(next_request<wire::storage_token_request>()));
  next_request<wire::grant_renew_request>();
  ASSERT_TRUE(io::write_file_durably(folder_ / "source", std::string(550, 'x')));
  renew(0);
  EXPECT_EQ(outcome().error, ESTALE);
  EXPECT_FALSE(next_request<wire::transfer_report>().done);
}

TEST_F(parts_test, a_plan_that_does_not_make_up_the_file_is_einval) {
  serve();
  start();
  submit(put_order("short"));
  answer(plan_for(next_request<wire::storage_token_request>()));
  EXPECT_EQ(outcome().error, EINVAL);
  EXPECT_EQ(puts_, 0);
}

TEST_F(uploader_test, a_hub_that_wants_a_checksum_gets_that_of_the_file) {
  serve();
  start();
  const std::string bytes(9 << 20, 'x');  // more than is read in one turn
  submit(put_order(bytes));
  const auto first = next_request<wire::storage_token_request>(0);
  EXPECT_EQ(first.sha256, std::nullopt);
  EXPECT_TRUE(first.accepts("sha256/1"));
  wire::storage_token_response refusal;
  refusal.reqid = first.reqid;
  refusal.failure = error(errc::checksum_required, "with sha256");
  answer(refusal);
  const auto second = next_request<wire::storage_token_request>(1);
  EXPECT_EQ(second.sha256, to_hex(sha256(bytes)));
  EXPECT_NE(second.reqid, first.reqid);
  answer(grant_for(second, "/o"));
  EXPECT_EQ(outcome().result, kind::success);
  EXPECT_EQ(objects_["/o"], bytes);
}

TEST_F(uploader_test, a_refusal_before_all_was_sent_is_not_taken_for_a_changed_file) {
  serve();
  start();
  submit(put_order(std::string(20 << 20, 'x')));  // more than this server takes
  wire::storage_token_response refusal;
  refusal.reqid = next_request<wire::storage_token_request>(0).reqid;
  refusal.failure = error(errc::checksum_required, "with sha256");
  answer(refusal);
  answer(grant_for(next_request<wire::storage_token_request>(1), "/o"));
  EXPECT_EQ(outcome().result, kind::error_http);
  EXPECT_EQ(outcome().http_status, 413U);
}

TEST_F(uploader_test, a_file_that_changes_after_it_was_hashed_is_a_clear_failure) {
  serve();
  start();
  submit(put_order("the bytes"));
  wire::storage_token_response refusal;
  refusal.reqid = next_request<wire::storage_token_request>(0).reqid;
  refusal.failure = error(errc::checksum_required, "with sha256");
  answer(refusal);
  const auto second = next_request<wire::storage_token_request>(1);
  {
    const io::unique_fd fd(::open((folder_ / "source").c_str(), O_WRONLY | O_CLOEXEC));
    struct stat before {};
    ASSERT_EQ(::fstat(fd.get(), &before), 0);
    ASSERT_EQ(::pwrite(fd.get(), "THE", 3, 0), 3);
    const timespec times[] = {before.st_atim, before.st_mtim};  // so that only the bytes tell
    ASSERT_EQ(::futimens(fd.get(), times), 0);
  }
  answer(grant_for(second, "/o"));
  EXPECT_EQ(outcome().error, ESTALE);
}

struct change_case {
  const char* name;
  void (*change)(const io::fs::path&);
  int error;
};
class changed_file_test : public uploader_test, public testing::WithParamInterface<change_case> {};

TEST_P(changed_file_test, is_a_clear_failure_and_not_a_wrong_object) {
  serve();
  start();
  submit(put_order("the bytes"));
  GetParam().change(folder_ / "source");
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  EXPECT_EQ(outcome().result, kind::error);
  EXPECT_EQ(outcome().error, GetParam().error);
  EXPECT_THAT(objects_, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    ways, changed_file_test,
    testing::Values(change_case{"shorter", [](const io::fs::path& p) { io::fs::resize_file(p, 3); }, ESTALE},
                    change_case{"longer", [](const io::fs::path& p) { io::fs::resize_file(p, 30); }, ESTALE},
                    change_case{"replaced", [](const io::fs::path& p) { (void)io::write_file_durably(p, "THE BYTES"); },
                                ESTALE},
                    change_case{"written again with the same size",
                                [](const io::fs::path& p) {
                                  const io::unique_fd fd(::open(p.c_str(), O_WRONLY | O_CLOEXEC));
                                  EXPECT_EQ(::pwrite(fd.get(), "THE", 3, 0), 3);
                                  const timespec times[] = {{0, UTIME_NOW}, {1, 0}};
                                  ::futimens(fd.get(), times);
                                },
                                ESTALE},
                    change_case{"gone", [](const io::fs::path& p) { io::fs::remove(p); }, ENOENT}),
    [](const auto& p) {
      std::string name = p.param.name;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

TEST_F(uploader_test, a_request_whose_answer_is_lost_is_sent_again) {
  options_.limits.resend_first = milliseconds(50);
  serve();
  start();
  submit(put_order("x"));
  const auto first = next_request<wire::storage_token_request>(0);
  const auto second = next_request<wire::storage_token_request>(1);
  EXPECT_EQ(first.reqid, second.reqid);
  answer(grant_for(second, "/o"));
  EXPECT_EQ(outcome().result, kind::success);
}

TEST_F(uploader_test, an_answer_that_cannot_be_read_is_einval) {
  serve();
  start();
  submit(put_order("x"));
  uploader_->hub_answered(next_request<wire::storage_token_request>().reqid, fail(errc::invalid_argument, "no JSON"));
  EXPECT_EQ(outcome().error, EINVAL);
}

TEST_F(uploader_test, beyond_the_limit_of_an_instance_an_order_is_refused_and_never_called_back) {
  options_.queue.files_per_instance = 1;
  serve();
  start();
  submit(put_order("x"));
  uploader_->submit(life_, ++ticket_, put_order("y"));
  ASSERT_TRUE(run_until(ctx_, [&] { return module_->answers.size() == 2; }));
  ASSERT_FALSE(module_->answers[1]);
  EXPECT_EQ(module_->answers[1].error().code(), errc::rate_limited);
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  EXPECT_EQ(outcome().result, kind::success);
}

TEST_F(uploader_test, an_instance_that_has_gone_is_not_called_back_but_its_file_arrives) {
  serve();
  start();
  submit(put_order("x"));
  const auto asked = next_request<wire::storage_token_request>();
  uploader_->end_life(life_);
  answer(grant_for(asked, "/o"));
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->live() == 0; }));
  ctx_.restart();
  ctx_.poll();
  EXPECT_THAT(module_->outcomes, IsEmpty());
  EXPECT_EQ(objects_.count("/o"), 1U);
}

TEST_F(uploader_test, what_was_accepted_goes_on_after_a_restart_and_its_old_process_is_not_called_back) {
  serve();
  start(false);
  submit(put_order("the bytes"));
  auto first = module_;
  restart();
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->live() == 0; }));
  EXPECT_EQ(objects_.at("/o"), "the bytes");
  EXPECT_THAT(first->outcomes, IsEmpty());
  EXPECT_THAT(module_->earlier, IsEmpty());
}

TEST_F(uploader_test, a_module_that_acknowledges_hears_of_its_earlier_life_until_it_has_confirmed) {
  serve();
  start(false);
  auto order = put_order("the bytes", "photo");
  order.acknowledges = true;
  submit(std::move(order));
  const auto id = *module_->answers.at(0);
  restart();
  uploader_->want_outcomes(life_);
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  ASSERT_TRUE(run_until(ctx_, [&] { return !module_->earlier.empty(); }));
  EXPECT_EQ(module_->earlier[0].id, id);
  EXPECT_EQ(module_->earlier[0].remote_name, "photo");
  EXPECT_EQ(module_->earlier[0].outcome.result, kind::success);
  restart();
  uploader_->want_outcomes(life_);
  ASSERT_TRUE(run_until(ctx_, [&] { return !module_->earlier.empty(); })) << "not confirmed: told again";
  uploader_->acknowledge(life_, id);
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->state().kept_outcomes() == 0; }));
  submit(put_order("another", "flushes what was only written"));
  restart();
  uploader_->want_outcomes(life_);
  ctx_.restart();
  ctx_.poll();
  EXPECT_THAT(module_->earlier, IsEmpty());
}

TEST_F(uploader_test, a_sent_file_that_waits_for_the_hub_is_reported_and_not_sent_again_after_a_restart) {
  serve();
  start();
  submit(put_order("the bytes"));
  auto grant = grant_for(next_request<wire::storage_token_request>(), "/o");
  grant.grant_id = "g1";
  answer(std::move(grant));
  next_request<wire::transfer_report>();
  restart();
  const auto report = next_request<wire::transfer_report>();
  EXPECT_EQ(report.grant_id, "g1");
  EXPECT_EQ(report.bytes, 9U);
  EXPECT_EQ(report.sha256, to_hex(sha256("the bytes")));
  wire::transfer_report_response verified;
  verified.reqid = report.reqid;
  verified.verified = true;
  answer(std::move(verified));
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->live() == 0; }));
  EXPECT_EQ(puts_, 1);
}

TEST_F(uploader_test, a_blob_from_memory_is_spooled_so_that_its_file_may_go_at_once) {
  serve();
  start(false);
  auto order = put_order("from memory");
  order.spool = true;
  const auto path = folder_ / order.path;
  submit(std::move(order));
  io::fs::remove(path);
  EXPECT_FALSE(io::fs::is_empty(folder_ / "queue" / "spool"));
  restart();
  const auto asked = next_request<wire::storage_token_request>();
  EXPECT_EQ(asked.sha256, to_hex(sha256("from memory")));
  answer(grant_for(asked, "/o"));
  ASSERT_TRUE(run_until(ctx_, [&] { return io::fs::is_empty(folder_ / "queue" / "spool"); }));
  EXPECT_EQ(objects_.at("/o"), "from memory");
}

TEST_F(uploader_test, spooled_bytes_that_were_changed_on_the_disk_are_a_failure_and_not_an_object_that_counts) {
  serve();
  start(false);
  auto order = put_order("from memory");
  order.spool = true;
  submit(std::move(order));
  const auto spooled = *io::fs::directory_iterator(folder_ / "queue" / "spool");
  ASSERT_TRUE(io::write_file_durably(spooled.path(), "FROM MEMORY"));
  uploader_->hub_connected();
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  EXPECT_EQ(outcome().error, ESTALE);
}

TEST_F(uploader_test, the_modules_own_url_survives_a_restart_and_is_not_readable_on_the_disk) {
  serve();
  start(false);
  auto order = put_order("the bytes");
  order.url = secret("http://127.0.0.1:1/o?signature=topsecret");  // nobody listens there
  order.fields = {{"x-token", "evenmoresecret"}};
  submit(std::move(order));
  for (const auto& e : io::fs::recursive_directory_iterator(folder_ / "queue")) {
    if (!e.is_regular_file()) continue;
    EXPECT_THAT(*io::read_file(e.path(), 1 << 20), testing::Not(testing::HasSubstr("topsecret"))) << e.path();
    EXPECT_THAT(*io::read_file(e.path(), 1 << 20), testing::Not(testing::HasSubstr("evenmoresecret"))) << e.path();
  }
  restart(false);
  ASSERT_TRUE(run_until(ctx_, [&] { return uploader_->state().transferring() == 1; }));
}

TEST_F(uploader_test, many_files_at_once_all_arrive) {
  serve();
  start();
  for (int i = 0; i < 40; ++i) submit(put_order("bytes " + std::to_string(i), "f" + std::to_string(i)));
  std::size_t answered = 0;
  ASSERT_TRUE(run_until(ctx_, [&] {
    const auto asked = hub_.of_type<wire::storage_token_request>();
    for (; answered < asked.size(); ++answered) answer(grant_for(asked[answered], "/" + asked[answered].filename));
    return module_->outcomes.size() == 40;
  }));
  EXPECT_EQ(objects_.size(), 40U);
  for (const auto& o : module_->outcomes) EXPECT_EQ(o.result, kind::success);
}

TEST_F(uploader_test, stopping_in_the_middle_calls_nobody_back) {
  serve();
  start();
  submit(put_order("x"));
  answer(grant_for(next_request<wire::storage_token_request>(), "/o"));
  run_task(ctx_, uploader_->stop());
  EXPECT_THAT(module_->outcomes, IsEmpty());
}

}  // namespace
}  // namespace evp::runtime::upload
