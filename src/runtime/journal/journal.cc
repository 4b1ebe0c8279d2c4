// The journal's files: which one counts, and in what order they are synced.
#include "runtime/journal/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace evp::runtime::journal {
namespace {

constexpr std::string_view prefix = "journal-", log_suffix = ".log";
constexpr std::size_t digits = 16;

std::string file_name(std::uint64_t number, std::string_view suffix) {
  return fmt::format("{}{:016x}{}", prefix, number, suffix);
}

bool is_ours(std::string_view name) { return name.starts_with(prefix); }

/// The number of a finished journal.
std::optional<std::uint64_t> number_of(std::string_view name) {
  if (!is_ours(name) || !name.ends_with(log_suffix) || name.size() != prefix.size() + digits + log_suffix.size())
    return std::nullopt;
  std::uint64_t n = 0;
  const auto* begin = name.data() + prefix.size();
  const auto [end, problem] = std::from_chars(begin, begin + digits, n, 16);
  if (problem != std::errc() || end != begin + digits || n == 0) return std::nullopt;
  return n;
}

}  // namespace

result<recovered> journal::open() {
  TRY(const auto files, disk_.list());
  number_ = 0;
  for (const auto& f : files) number_ = std::max(number_, number_of(f.name).value_or(0));
  name_ = number_ == 0 ? "" : file_name(number_, log_suffix);
  if (number_ != 0) {
    // What a process that died had not synced yet is seen now, but a power cut could still take it away: its last
    // bytes, and its very name, for which the older journal would have to stay.
    CHECK(disk_.sync(name_));
    CHECK(disk_.sync_folder());
  }
  for (const auto& f : files) {
    if (is_ours(f.name) && f.name != name_ && !f.name.ends_with(".damaged")) CHECK(disk_.remove(f.name));
  }
  recovered out;
  size_ = durable_ = 0;
  needs_rewrite_ = true;
  if (number_ == 0) return out;

  TRY(const auto bytes, disk_.read(name_, max_file_bytes));
  auto found = read_frames(bytes);
  out.records = std::move(found.records);
  out.damaged = std::move(found.damaged);
  out.torn_bytes = bytes.size() - found.good_bytes;
  if (!out.damaged.empty()) {
    // For whoever wants to look at it; the runtime does not need it any more.
    for (const auto& f : files)
      if (is_ours(f.name) && f.name.ends_with(".damaged")) CHECK(disk_.remove(f.name));
    const auto kept = file_name(number_, ".damaged");
    CHECK(disk_.create(kept));
    CHECK(disk_.append(kept, bytes));
  }
  return out;
}

result<void> journal::append(std::string_view records, bool sync) {
  if (needs_rewrite_) return fail(errc::failed_precondition, "the journal must be written anew first");
  std::string frames;
  append_frames(frames, records, durable_);
  needs_rewrite_ = true;  // until all has gone well
  CHECK(disk_.append(name_, frames));
  size_ += frames.size();
  if (sync) {
    CHECK(disk_.sync(name_));
    durable_ = size_;
  }
  needs_rewrite_ = false;
  return {};
}

result<void> journal::rewrite(std::string_view records) {
  needs_rewrite_ = true;
  std::string frames;
  append_frames(frames, records, 0);
  if (!name_.empty()) stale_.push_back(name_);
  const auto number = number_ + 1;
  const auto temporary = file_name(number, ".tmp"), name = file_name(number, log_suffix);
  CHECK(disk_.create(temporary));
  CHECK(disk_.append(temporary, frames));
  CHECK(disk_.sync(temporary));
  CHECK(disk_.rename(temporary, name));
  number_ = number;  // from here on the new one may be what a restart finds
  name_ = name;
  CHECK(disk_.sync_folder());
  for (; !stale_.empty(); stale_.pop_back()) CHECK(disk_.remove(stale_.back()));
  size_ = durable_ = frames.size();
  needs_rewrite_ = false;
  return {};
}

}  // namespace evp::runtime::journal
