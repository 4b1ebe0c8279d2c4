// Resumable sessions of Google Cloud Storage: chunks of one stream in order, on the strict double.
#include "conformance.h"

namespace evp {
namespace {

constexpr std::uint64_t chunk = 256 << 10;

struct resumable : conformance {
  void SetUp() override {
    conformance::SetUp();
    spec.object = "in a session/" + random_id(8);
    spec.fields = GetParam().service_fields;
    spec.size = 2 * chunk + 5;
    id = run(driver->begin_parts(spec)).value();
  }
  storage::signed_request sign(unsigned n, std::uint64_t offset, std::uint64_t length) {
    return run(driver->sign_part(spec, id, {n, offset, length})).value();
  }
  storage::signed_request nth(unsigned n) { return sign(n, (n - 1) * chunk, n == 3 ? 5 : chunk); }
  std::string bytes_of(unsigned n) const { return n == 3 ? "tail!" : std::string(chunk, char('a' + n)); }
  int send(unsigned n) { return execute(nth(n), bytes_of(n)); }
  std::uint64_t arrived() {
    const auto listed = run(driver->list_parts(spec.object, id));
    EXPECT_TRUE(listed) << listed.error().message();
    return listed && !listed->empty() ? listed->at(0).size : 0;
  }

  storage::sign_spec spec;
  std::string id;
};
INSTANTIATE_TEST_SUITE_P(on, resumable, testing::Values(storage_of("GCP_resumable")), name_of);

TEST_P(resumable, chunks_in_order_become_the_object_with_the_last_one) {
  ASSERT_TRUE(driver->caps().parts->in_order);
  EXPECT_EQ(driver->caps().parts->multiple_of, chunk);
  EXPECT_EQ(arrived(), 0u);
  EXPECT_EQ(nth(1).expect, std::vector<int>{308});
  EXPECT_EQ(send(1), 308);
  EXPECT_EQ(arrived(), chunk);
  EXPECT_EQ(send(2), 308);
  EXPECT_FALSE(exists(spec.object));
  EXPECT_THAT(nth(3).expect, testing::Contains(send(3)));
  EXPECT_EQ(arrived(), *spec.size);
  ASSERT_TRUE(run(driver->commit_parts(spec, id, *run(driver->list_parts(spec.object, id)))));
  EXPECT_TRUE(run(driver->get(spec.object, 1 << 20)).value() == bytes_of(1) + bytes_of(2) + bytes_of(3));
}

TEST_P(resumable, a_chunk_may_be_sent_again_and_none_may_be_left_out) {
  EXPECT_EQ(send(1), 308);
  EXPECT_EQ(send(1), 308);
  EXPECT_EQ(arrived(), chunk);
  EXPECT_TRUE(is_refusal(send(3)));
  EXPECT_EQ(arrived(), chunk);
  EXPECT_EQ(send(2), 308);
  EXPECT_EQ(send(3), 200);
  EXPECT_EQ(send(3), 200) << "after a lost answer";
}

TEST_P(resumable, a_chunk_of_another_size_is_refused) {
  EXPECT_TRUE(is_refusal(execute(nth(1), "short")));
  EXPECT_TRUE(is_refusal(execute(sign(1, 0, 1000), std::string(1000, 'x')))) << "no multiple of 256 KiB";
  EXPECT_EQ(arrived(), 0u);
}

TEST_P(resumable, an_empty_file_has_a_session_too) {
  spec.size = 0;
  id = run(driver->begin_parts(spec)).value();
  EXPECT_THAT(sign(1, 0, 0).expect, testing::Contains(execute(sign(1, 0, 0), "")));
  EXPECT_TRUE(exists(spec.object));
}

TEST_P(resumable, a_session_is_of_its_object_and_its_url_does_not_show_in_the_id) {
  EXPECT_TRUE(is_refusal(execute(forged(nth(1)), bytes_of(1))));
  EXPECT_TRUE(is_refusal(execute(renamed(nth(1), "session/", "sessioN/"), bytes_of(1))));
  const auto url = nth(1).url.reveal();
  EXPECT_EQ(id.find(url.substr(url.find("upload_id=") + 10)), std::string::npos);
  auto other = spec;
  other.object += "x";
  EXPECT_EQ(run(driver->sign_part(other, id, {1, 0, chunk})).error().code(), errc::not_found);
}

TEST_P(resumable, a_session_that_was_dropped_takes_nothing_and_dropping_again_succeeds) {
  EXPECT_EQ(send(1), 308);
  EXPECT_TRUE(run(driver->abort_parts(spec.object, id)));
  EXPECT_TRUE(run(driver->abort_parts(spec.object, id)));
  EXPECT_TRUE(is_refusal(send(2)));
  EXPECT_EQ(run(driver->list_parts(spec.object, id)).error().code(), errc::not_found);
  EXPECT_FALSE(exists(spec.object));
}

}  // namespace
}  // namespace evp
