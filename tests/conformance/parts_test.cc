// Uploads in parts, on a real server: the same tests for every driver that offers them.
#include "base/encoding.h"
#include "conformance.h"

namespace evp {
namespace {

constexpr std::uint64_t first_bytes = 5 << 20;  // what S3 demands of every part but the last

struct parts : conformance {
  void SetUp() override {
    conformance::SetUp();
    spec.object = "in parts/" + random_id(8);
    spec.fields = GetParam().service_fields;
  }
  std::string begin() {
    auto id = run(driver->begin_parts(spec));
    EXPECT_TRUE(id) << id.error().message();
    return id.value_or("");
  }
  storage::signed_request sign(const std::string& id, storage::part_place place, milliseconds life = seconds(120)) {
    auto s = spec;
    s.lifetime = life;
    return *run(driver->sign_part(s, id, place));
  }
  /// Sends two parts and commits them.
  void upload(const std::string& id) {
    EXPECT_THAT(sign(id, one).expect, testing::Contains(execute(sign(id, one), first)));
    EXPECT_THAT(sign(id, two).expect, testing::Contains(execute(sign(id, two), "tail")));
  }

  storage::sign_spec spec;
  const std::string first = std::string(first_bytes, 'a');
  const storage::part_place one{1, 0, first_bytes}, two{2, first_bytes, 4};
};

TEST_P(parts, become_one_object_with_the_services_fields) {
  const auto id = begin();
  upload(id);
  auto listed = run(driver->list_parts(spec.object, id));
  ASSERT_TRUE(listed) << listed.error().message();
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ(listed->at(0).size, first_bytes);
  EXPECT_EQ(listed->at(1).number, 2u);
  EXPECT_EQ(listed->at(1).size, 4u);
  EXPECT_FALSE(exists(spec.object));
  const auto done = run(driver->commit_parts(spec, id, *listed));
  ASSERT_TRUE(done) << done.error().message();
  const auto bytes = run(driver->get(spec.object, 6 << 20));
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_TRUE(*bytes == first + "tail");
  // A commit whose answer was lost is asked for again: the upload is gone then, or may be committed once more.
  auto again = run(driver->list_parts(spec.object, id));
  if (again)
    EXPECT_TRUE(run(driver->commit_parts(spec, id, *again)));
  else
    EXPECT_EQ(again.error().code(), errc::not_found);
  EXPECT_TRUE(*run(driver->get(spec.object, 6 << 20)) == first + "tail");
}

TEST_P(parts, may_arrive_in_any_order_and_again) {
  const auto id = begin();
  EXPECT_THAT(sign(id, two).expect, testing::Contains(execute(sign(id, two), "tail")));
  EXPECT_THAT(sign(id, one).expect, testing::Contains(execute(sign(id, one), std::string(first_bytes, 'x'))));
  EXPECT_THAT(sign(id, one).expect, testing::Contains(execute(sign(id, one), first)));
  ASSERT_TRUE(run(driver->commit_parts(spec, id, *run(driver->list_parts(spec.object, id)))));
  EXPECT_TRUE(*run(driver->get(spec.object, 6 << 20)) == first + "tail");
}

TEST_P(parts, one_that_is_missing_is_not_listed) {
  const auto id = begin();
  EXPECT_THAT(sign(id, two).expect, testing::Contains(execute(sign(id, two), "tail")));
  const auto listed = run(driver->list_parts(spec.object, id));
  ASSERT_TRUE(listed) << listed.error().message();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->at(0).number, 2u);
  EXPECT_TRUE(run(driver->abort_parts(spec.object, id)));
}

TEST_P(parts, that_are_dropped_leave_nothing_and_dropping_again_succeeds) {
  const auto id = begin();
  EXPECT_THAT(sign(id, two).expect, testing::Contains(execute(sign(id, two), "tail")));
  EXPECT_TRUE(run(driver->abort_parts(spec.object, id)));
  EXPECT_TRUE(run(driver->abort_parts(spec.object, id)));
  EXPECT_FALSE(exists(spec.object));
}

TEST_P(parts, a_url_is_worth_nothing_forged_expired_or_for_another_object) {
  const auto id = begin();
  EXPECT_TRUE(is_refusal(execute(forged(sign(id, two)), "tail")));
  if (!enforces(storage::bound::object)) return;  // said so; conformance_test.cc shows that it is true
  if (GetParam().type != "OCI") {                 // there a part's URL lives as long as its upload: docs/drivers/oci.md
    const auto old = made_an_hour_ago([&] { return sign(id, two, seconds(60)); });
    EXPECT_TRUE(is_refusal(execute(old, "tail")));
    return_to_now();
  }
  auto stolen = sign(id, two);
  auto url = stolen.url.reveal();
  const bool is_plain = url.find("parts/") != url.npos;  // else the name is in base64
  const auto other = "in partz/" + spec.object.substr(9);
  const std::string from = is_plain ? "parts/" : to_base64url_padded(spec.object);
  ASSERT_NE(url.find(from), url.npos);
  url.replace(url.find(from), from.size(), is_plain ? "partz/" : to_base64url_padded(other));
  stolen.url = secret(url);
  EXPECT_TRUE(is_refusal(execute(stolen, "tail")));
  EXPECT_TRUE(is_refusal(status("DELETE", sign(id, two).url.reveal(), {})));
  const auto listed = run(driver->list_parts(spec.object, id));
  EXPECT_TRUE(!listed || listed->empty());
}

std::vector<storage_setup> with_parts() {
  std::vector<storage_setup> out;
  for (const auto& s : storages())
    if (s.has_parts && !s.agent && s.name != "GCP_resumable")  // the public agent knows no plans
      out.push_back(s);
  return out;
}
INSTANTIATE_TEST_SUITE_P(on, parts, testing::ValuesIn(with_parts()), name_of);

TEST_P(conformance, a_driver_without_parts_says_so) {
  EXPECT_EQ(driver->caps().parts.has_value(), GetParam().has_parts);
  if (GetParam().has_parts) return;
  storage::sign_spec s;
  s.object = "x";
  EXPECT_EQ(run(driver->begin_parts(s)).error().code(), errc::unsupported);
}

}  // namespace
}  // namespace evp
