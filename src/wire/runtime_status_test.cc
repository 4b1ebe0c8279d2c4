#include "wire/runtime_status.h"

#include <gtest/gtest.h>

namespace evp::wire {
namespace {

runtime_status busy() {
  runtime_status s;
  s.version = "0.1.0";
  s.connected = true;
  s.up = milliseconds(90'000);
  s.files = 3, s.bytes = 1ULL << 40, s.spooled = 5, s.files_max = 10'000, s.bytes_max = 1ULL << 62, s.spooled_max = 9;
  s.moved = UINT64_MAX;
  s.since_start = {1, 2, 3, 4, 5, 6, 7};
  s.transfers = {{12, "camera", "day/a \"b\".jpg", "archive", true, 7, 11, milliseconds(1500)},
                 {13, "camera", "", "", false, 0, 0, milliseconds(0)}};
  s.storages = {{"archive", 1, 2, true}, {"", 0, 1, false}};
  s.failures = {{timestamp(milliseconds(1'798'826'833'000)), 11, "camera", "x", "the storage answered 403"}};
  return s;
}

TEST(runtime_status_test, arrives_as_it_was_sent) {
  const auto text = encode(busy());
  const auto read = decode_runtime_status(text);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(encode(*read), text);
  EXPECT_EQ(read->moved, UINT64_MAX);
  EXPECT_EQ(read->since_start.lost_outcomes, 7U);
  ASSERT_EQ(read->transfers.size(), 2U);
  EXPECT_EQ(read->transfers[0].name, "day/a \"b\".jpg");
  EXPECT_EQ(read->transfers[0].running, milliseconds(1500));
  EXPECT_FALSE(read->transfers[1].is_upload);
  EXPECT_TRUE(read->storages[0].paused);
  EXPECT_EQ(read->failures[0].message, "the storage answered 403");
}

TEST(runtime_status_test, what_is_no_status_is_refused) {
  for (const auto* text : {"", "[]", "{}", "{\"queue\": {}}", "{\"queue\": {}, \"sinceStart\": {}, \"transfers\": [1]}",
                           "{\"queue\": {\"files\": 3}, \"sinceStart\": {}}"})
    EXPECT_FALSE(decode_runtime_status(text)) << text;
  EXPECT_TRUE(decode_runtime_status("{\"queue\": {}, \"sinceStart\": {}, \"later\": 1}")) << "of a later version";
}

}  // namespace
}  // namespace evp::wire
