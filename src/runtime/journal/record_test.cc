// Records and frames: every value comes back, and nothing that a disk may do to a file brings the reader down.
#include <gmock/gmock.h>
#include <rapidcheck.h>

#include "runtime/journal/crc32c.h"
#include "runtime/journal/frame.h"

namespace rc {
using namespace evp::runtime::journal;
template <>
struct Arbitrary<record> {
  static Gen<record> arbitrary() {
    using statuses = std::vector<std::uint16_t>;
    const auto text = gen::scale(0.3, gen::arbitrary<std::string>());
    const auto of = [](auto g) { return gen::map(g, [](auto v) { return record(std::move(v)); }); };
    return gen::oneOf(
        of(gen::build<accepted>(
            gen::set(&accepted::id), gen::set(&accepted::operation, gen::element(operation::put, operation::get)),
            gen::set(&accepted::priority, gen::element(priority::low, priority::high)), gen::set(&accepted::spooled),
            gen::set(&accepted::acknowledges), gen::set(&accepted::named), gen::set(&accepted::size),
            gen::set(&accepted::mtime_ns), gen::set(&accepted::deadline_ms), gen::set(&accepted::instance, text),
            gen::set(&accepted::remote_name, text), gen::set(&accepted::path, text), gen::set(&accepted::own, text),
            gen::set(&accepted::sha256, gen::element(std::string(), std::string(32, 'h'))))),
        of(gen::build<sent>(gen::set(&sent::id), gen::set(&sent::status), gen::set(&sent::bytes),
                            gen::set(&sent::grant_id, text))),
        of(gen::build<ended>(gen::set(&ended::id),
                             gen::set(&ended::result, gen::element(outcome_kind::success, outcome_kind::error_http)),
                             gen::set(&ended::error), gen::set(&ended::quarantined), gen::set(&ended::reason, text))),
        of(gen::build<plan_begun>(gen::set(&plan_begun::id), gen::set(&plan_begun::part_bytes),
                                  gen::set(&plan_begun::part_count), gen::set(&plan_begun::grant_id, text))),
        of(gen::build<part_sent>(gen::set(&part_sent::id), gen::set(&part_sent::number),
                                 gen::set(&part_sent::sha256, text))),
        of(gen::build<grant_kept>(
            gen::set(&grant_kept::id), gen::set(&grant_kept::at_ms), gen::set(&grant_kept::lives_ms),
            gen::set(&grant_kept::expect, gen::element(statuses(), statuses{200}, statuses{200, 201, 204})),
            gen::set(&grant_kept::create_only), gen::set(&grant_kept::grant_id, text),
            gen::set(&grant_kept::certificate_id, text), gen::set(&grant_kept::sealed, text))),
        of(gen::build<forgotten>(gen::set(&forgotten::id))), of(gen::build<next_id>(gen::set(&next_id::id))));
  }
};
}  // namespace rc

namespace evp::runtime::journal {
namespace {

std::string encode_all(const std::vector<record>& all) {
  std::string out;
  for (const auto& r : all) out += encode(r);
  return out;
}

/// One frame for each record, as if each had been synced by itself.
std::string frames_of(const std::vector<record>& all) {
  std::string out;
  for (const auto& r : all) append_frames(out, encode(r), out.size());
  return out;
}

std::vector<record> five() {
  std::vector<record> all;
  for (std::uint64_t id = 1; id <= 5; ++id) all.push_back(forgotten{id});
  return all;
}

TEST(crc32c, gives_the_values_of_rfc_3720) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), crc32c("123456789"));
}

TEST(record, every_record_comes_back_as_it_was) {
  EXPECT_TRUE(rc::check([](const std::vector<record>& all) {
    std::string bytes = encode_all(all);
    std::string_view left = bytes;
    for (const auto& r : all) {
      auto back = take_record(left);
      RC_ASSERT(back.has_value());
      RC_ASSERT(**back == r);
    }
    RC_ASSERT(left.empty());
  }));
}

TEST(record, an_unknown_type_is_skipped_and_a_cut_record_is_an_error) {
  std::string bytes = encode(forgotten{7});
  bytes[0] = 99;
  bytes += encode(next_id{8});
  std::string_view left = bytes;
  EXPECT_FALSE(take_record(left)->has_value());
  EXPECT_EQ(std::get<next_id>(**take_record(left)).id, 8U);
  for (std::size_t size = 1; size < 13; ++size) {
    std::string_view cut = std::string_view(bytes).substr(13, size);
    EXPECT_EQ(take_record(cut).error().code(), errc::data_corrupt) << size;
  }
}

TEST(record, a_kept_grant_whose_body_ends_anywhere_too_soon_is_an_error) {
  const auto whole = encode(grant_kept{7, 1000, 60'000, {200, 201}, true, "g1", "sha256:ab", "sealed bytes"});
  for (std::size_t body = 0; body + 5 < whole.size(); ++body) {
    std::string bytes = whole.substr(0, 5 + body);
    bytes[1] = char(body);  // the head says that this is all
    std::string_view left = bytes;
    EXPECT_EQ(take_record(left).error().code(), errc::data_corrupt) << body;
  }
}

TEST(frames, any_number_of_records_in_any_batches_is_read_back) {
  EXPECT_TRUE(rc::check([](const std::vector<std::vector<record>>& batches) {
    std::string file;
    std::vector<record> all;
    for (const auto& b : batches) {
      append_frames(file, encode_all(b), file.size());
      all.insert(all.end(), b.begin(), b.end());
    }
    const auto found = read_frames(file);
    RC_ASSERT(found.records == all);
    RC_ASSERT(found.good_bytes == file.size());
    RC_ASSERT(found.damaged.empty());
  }));
}

TEST(frames, a_batch_that_is_too_large_for_one_frame_is_split_between_records) {
  accepted big;
  big.own = std::string(max_own_bytes, 'u');
  std::vector<record> all;
  for (big.id = 1; big.id <= 40; ++big.id) all.push_back(big);
  std::string file;
  append_frames(file, encode_all(all), 0);
  EXPECT_GT(file.size(), 2 * max_payload_bytes);
  EXPECT_EQ(read_frames(file).records, all);
}

TEST(frames, a_file_cut_anywhere_gives_a_prefix_and_no_damage) {
  const auto all = five();
  const auto file = frames_of(all);
  for (std::size_t size = 0; size <= file.size(); ++size) {
    const auto found = read_frames(std::string_view(file).substr(0, size));
    ASSERT_LE(found.records.size(), all.size());
    EXPECT_TRUE(std::equal(found.records.begin(), found.records.end(), all.begin()));
    EXPECT_LE(found.good_bytes, size);
    EXPECT_TRUE(found.damaged.empty()) << "cut at " << size;
  }
}

TEST(frames, one_changed_byte_in_the_middle_is_reported_and_the_other_frames_are_used) {
  const auto file = frames_of(five());
  for (std::size_t at = 0; at + file.size() / 5 < file.size(); ++at) {
    auto changed = file;
    changed[at] = char(changed[at] ^ 0x10);
    const auto found = read_frames(changed);
    EXPECT_EQ(found.records.size(), 4U) << at;
    ASSERT_EQ(found.damaged.size(), 1U) << at;
    EXPECT_EQ(found.damaged[0].offset, at / (file.size() / 5) * (file.size() / 5));
    EXPECT_EQ(found.damaged[0].bytes, file.size() / 5);
  }
}

TEST(frames, a_torn_frame_before_one_that_reached_the_disk_by_chance_is_no_damage) {
  std::string file;
  append_frames(file, encode(forgotten{1}), 0);
  const auto synced = file.size();
  append_frames(file, encode(forgotten{2}), synced);  // both were being written when the power went
  append_frames(file, encode(forgotten{3}), synced);
  file[synced + 8] = '?';
  const auto found = read_frames(file);
  EXPECT_TRUE(found.damaged.empty());
  EXPECT_EQ(found.records.size(), 2U);
}

TEST(frames, whatever_is_in_the_file_the_reader_ends) {
  EXPECT_TRUE(rc::check([](std::vector<record> all, std::string noise) {
    auto file = frames_of(all);
    if (!file.empty()) file.insert(std::min(file.size(), *rc::gen::inRange<std::size_t>(0, file.size())), noise);
    const auto found = read_frames(file);
    RC_ASSERT(found.good_bytes <= file.size());
    RC_ASSERT(found.records.size() <= all.size());
  }));
}

}  // namespace
}  // namespace evp::runtime::journal
