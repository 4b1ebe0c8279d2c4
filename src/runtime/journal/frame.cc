// Frames: written by append_frames, read by read_frames. The format is docs/journal.md.
#include "runtime/journal/frame.h"

#include <algorithm>
#include <optional>

#include "runtime/journal/crc32c.h"

namespace evp::runtime::journal {
namespace {

constexpr std::string_view magic = "EVPJ";
constexpr std::size_t max_damage = 16;

std::uint64_t number(std::string_view bytes, std::size_t at, int size) {
  std::uint64_t v = 0;
  for (int i = 0; i < size; ++i) v |= std::uint64_t(std::uint8_t(bytes[at + std::size_t(i)])) << (8 * i);
  return v;
}
void put(std::string& out, std::uint64_t v, int size) {
  for (int i = 0; i < size; ++i) out += char(std::uint8_t(v >> (8 * i)));
}

struct frame {
  std::uint64_t durable = 0;
  std::string_view payload;
};

/// The frame that begins at the offset, if there is a good one.
std::optional<frame> frame_at(std::string_view file, std::size_t at) {
  if (file.size() - at < frame_head_bytes || file.substr(at, 4) != magic) return std::nullopt;
  const auto length = number(file, at + 4, 4);
  if (length == 0 || length > max_payload_bytes || length > file.size() - at - frame_head_bytes) return std::nullopt;
  frame f;
  f.durable = number(file, at + 8, 8);
  f.payload = file.substr(at + frame_head_bytes, length);
  if (crc32c(f.payload, crc32c(file.substr(at + 4, 12))) != number(file, at + 16, 4)) return std::nullopt;
  return f;
}

/// The length of the first records of the payload that fit a frame together.
std::size_t first_part(std::string_view payload) {
  if (payload.size() <= max_payload_bytes) return payload.size();
  std::size_t end = 0;
  while (end + 5 <= payload.size()) {
    const auto next = end + 5 + number(payload, end + 1, 4);
    if (next > max_payload_bytes && end > 0) break;
    end = std::min<std::size_t>(next, payload.size());
  }
  return end;
}

/// False: the payload passes its check, but no record can be read in it (a defect of the writer).
bool take_records(std::string_view payload, std::vector<record>& into) {
  while (!payload.empty()) {
    auto r = take_record(payload);
    if (!r) return false;
    if (*r) into.push_back(std::move(**r));
  }
  return true;
}

}  // namespace

void append_frames(std::string& out, std::string_view payload, std::uint64_t durable) {
  while (!payload.empty()) {
    const auto part = payload.substr(0, first_part(payload));
    payload.remove_prefix(part.size());
    std::string checked;
    put(checked, part.size(), 4);
    put(checked, durable, 8);
    const auto check = crc32c(part, crc32c(checked));
    out += magic;
    out += checked;
    put(out, check, 4);
    out += part;
  }
}

contents read_frames(std::string_view file) {
  contents out;
  std::vector<damage> gaps;  // not yet known to be torn or damaged
  const auto judge = [&](std::uint64_t durable) {
    for (const auto& g : gaps) {
      if (g.offset >= durable) continue;  // it was never synced: torn, although a later page reached the disk
      if (out.damaged.size() < max_damage)
        out.damaged.push_back(g);
      else
        out.damaged.back().bytes = g.offset + g.bytes - out.damaged.back().offset;
    }
  };
  std::uint64_t durable = 0;
  for (std::size_t at = 0; at < file.size();) {
    const auto f = frame_at(file, at);
    if (f && take_records(f->payload, out.records)) {
      durable = std::max(durable, f->durable);
      at += frame_head_bytes + f->payload.size();
      out.good_bytes = at;
      continue;
    }
    const auto next = f ? at + frame_head_bytes + f->payload.size() : file.find(magic, at + 1);
    const auto end = std::min<std::size_t>(next, file.size());
    if (!gaps.empty() && gaps.back().offset + gaps.back().bytes == at)
      gaps.back().bytes += end - at;
    else
      gaps.push_back({at, end - at});
    at = end;
  }
  judge(durable);
  return out;
}

}  // namespace evp::runtime::journal
