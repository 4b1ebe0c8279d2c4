// What the retry policy promises.
#include "runtime/upload/retry.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace evp::runtime::upload {
namespace {

transfer_result answered(int status) {
  transfer_result r;
  r.status = status;
  return r;
}
transfer_result failed(errc code) {
  transfer_result r;
  r.failure = error(code, "x");
  return r;
}

TEST(retry, any_2xx_is_success_unless_the_grant_lists_statuses) {
  EXPECT_EQ(judge(answered(200), {}), verdict::success);
  EXPECT_EQ(judge(answered(299), {}), verdict::success);
  EXPECT_EQ(judge(answered(201), {201}), verdict::success);
  EXPECT_EQ(judge(answered(200), {201}), verdict::final);
  EXPECT_EQ(judge(answered(308), {308}), verdict::success) << "a chunk that others follow";
}

TEST(retry, overload_and_server_errors_are_tried_again) {
  for (const int status : {408, 429, 500, 502, 503, 504, 599})
    EXPECT_EQ(judge(answered(status), {}), verdict::retry) << status;
}

TEST(retry, a_refused_grant_asks_for_a_fresh_one) {
  EXPECT_EQ(judge(answered(403), {}), verdict::fresh_grant);
  EXPECT_EQ(judge(answered(401), {}), verdict::fresh_grant) << "a token in a header has died";
}

TEST(retry, redirects_and_other_client_errors_are_final) {
  for (const int status : {100, 301, 302, 304, 307, 308, 400, 404, 409, 412, 413, 600})
    EXPECT_EQ(judge(answered(status), {}), verdict::final) << status;
}

TEST(retry, network_failures_are_tried_again_and_tls_failures_are_final) {
  EXPECT_EQ(judge(failed(errc::unavailable), {}), verdict::retry);
  EXPECT_EQ(judge(failed(errc::deadline_exceeded), {}), verdict::retry);
  EXPECT_EQ(judge(failed(errc::permission_denied), {}), verdict::final);
  EXPECT_EQ(judge(failed(errc::data_corrupt), {}), verdict::final);
}

TEST(retry, a_local_file_error_is_final_even_when_its_code_is_temporary) {
  auto r = failed(errc::unavailable);
  r.failure_errno = ENOSPC;
  EXPECT_EQ(judge(r, {}), verdict::final);
  EXPECT_EQ(errno_of(r), ENOSPC);
}

TEST(retry, the_wait_is_jittered_below_a_doubling_capped_bound) {
  retry_policy p;
  std::mt19937_64 random(1);
  for (unsigned failures = 1; failures < 200; ++failures) {
    const auto bound =
        std::min<std::int64_t>(p.backoff_max.count(), p.backoff_first.count() << std::min(failures - 1, 30U));
    milliseconds longest{0};
    for (int i = 0; i < 100; ++i) {
      const auto wait = wait_before_retry(p, failures, std::nullopt, random);
      ASSERT_GE(wait.count(), 0);
      ASSERT_LE(wait.count(), bound);
      longest = std::max(longest, wait);
    }
    EXPECT_GT(longest.count(), bound / 2) << "full jitter reaches up to its bound";
  }
}

TEST(retry, what_the_peer_asks_for_is_kept_up_to_a_bound) {
  retry_policy p;
  std::mt19937_64 random(1);
  EXPECT_GE(wait_before_retry(p, 1, milliseconds(7'000), random), milliseconds(7'000));
  EXPECT_LE(wait_before_retry(p, 1, milliseconds(7'000), random), milliseconds(7'500));
  EXPECT_LE(wait_before_retry(p, 1, std::chrono::hours(1000), random), p.retry_after_max + p.backoff_first);
}

TEST(retry, reads_retry_after_as_seconds_or_as_a_date) {
  const auto now = *parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(parse_retry_after("120", now), milliseconds(120'000));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), milliseconds(10'000));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:27 GMT", now), milliseconds(0));
  for (const char* bad : {"", "-1", "1.5", "soon", "99999999999999999999"})
    EXPECT_EQ(parse_retry_after(bad, now), std::nullopt) << bad;
}

TEST(retry, modules_see_the_errno_values_they_know) {
  EXPECT_EQ(errno_of(failed(errc::permission_denied)), 1);
  EXPECT_EQ(errno_of(failed(errc::internal)), 5);
  EXPECT_EQ(errno_of(failed(errc::invalid_argument)), 22);
  EXPECT_EQ(errno_of(failed(errc::deadline_exceeded)), 110);
  EXPECT_EQ(errno_of(answered(404)), 0);
}

}  // namespace
}  // namespace evp::runtime::upload
