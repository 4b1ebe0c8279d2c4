// The bytes of records: little-endian, texts with their length before them.
#include "runtime/journal/record.h"

#include <algorithm>
#include <concepts>
#include <optional>

namespace evp::runtime::journal {
namespace {

enum : std::uint8_t {
  type_accepted = 1,
  type_sent = 2,
  type_ended = 3,
  type_forgotten = 4,
  type_next_id = 5,
  type_plan_begun = 6,
  type_part_sent = 7,
  type_grant_kept = 8
};
enum : std::uint8_t { flag_spooled = 1, flag_named = 2, flag_acknowledges = 4, flag_sha256 = 8 };
enum : std::uint8_t { flag_quarantined = 1 };
enum : std::uint8_t { flag_create_only = 0x80 };
constexpr std::size_t head_bytes = 5;
constexpr std::size_t sha256_bytes = 32;

class writer {
 public:
  explicit writer(std::uint8_t type) { out_.append(1, char(type)).append(4, '\0'); }
  template <std::integral T>
  void put(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) out_ += char(std::uint8_t(std::uint64_t(value) >> (8 * i)));
  }
  void text(std::string_view t) {
    t = t.substr(0, max_name_bytes);
    put(std::uint16_t(t.size()));
    out_ += t;
  }
  void long_text(std::string_view t) {
    put(std::uint32_t(t.size()));
    out_ += t;
  }
  void raw(std::string_view t) { out_ += t; }
  std::string finish() {
    const auto length = std::uint32_t(out_.size() - head_bytes);
    for (int i = 0; i < 4; ++i) out_[std::size_t(1 + i)] = char(std::uint8_t(length >> (8 * i)));
    return std::move(out_);
  }

 private:
  std::string out_;
};

class reader {
 public:
  explicit reader(std::string_view bytes) : left_(bytes) {}
  template <std::integral T>
  T get() {
    if (left_.size() < sizeof(T)) return bad_ = true, T{};
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value |= std::uint64_t(std::uint8_t(left_[i])) << (8 * i);
    left_.remove_prefix(sizeof(T));
    return T(value);
  }
  std::string take(std::size_t size, std::size_t max) {
    if (size > max || size > left_.size()) return bad_ = true, std::string();
    std::string out(left_.substr(0, size));
    left_.remove_prefix(size);
    return out;
  }
  std::string text() { return take(get<std::uint16_t>(), max_name_bytes); }
  /// An enumeration, or a number, with values from 0 to `last`.
  template <class E>
  E one_of(E last) {
    const auto v = get<std::uint8_t>();
    if (v > std::uint8_t(last)) bad_ = true;
    return E(v);
  }
  bool good() const noexcept { return !bad_; }
  void refuse() noexcept { bad_ = true; }
  /// Whether everything was there and nothing is left over.
  bool complete() const noexcept { return !bad_ && left_.empty(); }

 private:
  std::string_view left_;
  bool bad_ = false;
};

std::string bytes_of(const accepted& r) {
  writer w(type_accepted);
  w.put(r.id);
  w.put(std::uint8_t(r.operation));
  w.put(std::uint8_t(r.priority));
  w.put(std::uint8_t((r.spooled ? flag_spooled : 0) | (r.named ? flag_named : 0) |
                     (r.acknowledges ? flag_acknowledges : 0) | (r.sha256.size() == sha256_bytes ? flag_sha256 : 0)));
  w.put(r.size);
  w.put(r.mtime_ns);
  w.put(r.inode);
  w.put(r.accepted_ms);
  w.put(r.deadline_ms);
  w.text(r.instance);
  w.text(r.remote_name);
  w.text(r.storage);
  w.text(r.path);
  w.long_text(r.own);
  if (r.sha256.size() == sha256_bytes) w.raw(r.sha256);
  return w.finish();
}

std::string bytes_of(const sent& r) {
  writer w(type_sent);
  w.put(r.id);
  w.put(r.status);
  w.put(r.bytes);
  w.text(r.grant_id);
  w.text(r.sha256);
  return w.finish();
}

std::string bytes_of(const ended& r) {
  writer w(type_ended);
  w.put(r.id);
  w.put(std::uint8_t(r.result));
  w.put(r.http_status);
  w.put(r.error);
  w.put(r.at_ms);
  w.put(std::uint8_t(r.quarantined ? flag_quarantined : 0));
  w.text(r.reason);
  return w.finish();
}

template <class T>
std::string id_record(std::uint8_t type, const T& r) {
  writer w(type);
  w.put(r.id);
  return w.finish();
}
std::string bytes_of(const forgotten& r) { return id_record(type_forgotten, r); }
std::string bytes_of(const next_id& r) { return id_record(type_next_id, r); }

std::string bytes_of(const plan_begun& r) {
  writer w(type_plan_begun);
  w.put(r.id);
  w.put(r.part_bytes);
  w.put(r.part_count);
  w.put(r.parallel);
  w.text(r.grant_id);
  w.text(r.certificate_id);
  return w.finish();
}

std::string bytes_of(const part_sent& r) {
  writer w(type_part_sent);
  w.put(r.id);
  w.put(r.number);
  w.text(r.sha256);
  return w.finish();
}

std::string bytes_of(const grant_kept& r) {
  writer w(type_grant_kept);
  w.put(r.id);
  w.put(r.at_ms);
  w.put(r.lives_ms);
  const auto count = std::min(r.expect.size(), max_expected);
  w.put(std::uint8_t(count | (r.create_only ? flag_create_only : 0U)));
  for (std::size_t i = 0; i < count; ++i) w.put(r.expect[i]);
  w.text(r.grant_id);
  w.text(r.certificate_id);
  w.long_text(r.sealed);
  return w.finish();
}

accepted read_accepted(reader& in) {
  accepted r;
  r.id = in.get<std::uint64_t>();
  r.operation = in.one_of(operation::get);
  r.priority = in.one_of(priority::high);
  const auto flags = in.get<std::uint8_t>();
  r.spooled = flags & flag_spooled;
  r.named = flags & flag_named;
  r.acknowledges = flags & flag_acknowledges;
  r.size = in.get<std::uint64_t>();
  r.mtime_ns = in.get<std::int64_t>();
  r.inode = in.get<std::uint64_t>();
  r.accepted_ms = in.get<std::int64_t>();
  r.deadline_ms = in.get<std::int64_t>();
  r.instance = in.text();
  r.remote_name = in.text();
  r.storage = in.text();
  r.path = in.text();
  r.own = in.take(in.get<std::uint32_t>(), max_own_bytes);
  if (flags & flag_sha256) r.sha256 = in.take(sha256_bytes, sha256_bytes);
  return r;
}

sent read_sent(reader& in) {
  sent r;
  r.id = in.get<std::uint64_t>();
  r.status = in.get<std::uint16_t>();
  r.bytes = in.get<std::uint64_t>();
  r.grant_id = in.text();
  r.sha256 = in.text();
  return r;
}

ended read_ended(reader& in) {
  ended r;
  r.id = in.get<std::uint64_t>();
  r.result = in.one_of(outcome_kind::error_http);
  r.http_status = in.get<std::uint16_t>();
  r.error = in.get<std::uint16_t>();
  r.at_ms = in.get<std::int64_t>();
  r.quarantined = in.get<std::uint8_t>() & flag_quarantined;
  r.reason = in.text();
  return r;
}

plan_begun read_plan_begun(reader& in) {
  plan_begun r;
  r.id = in.get<std::uint64_t>();
  r.part_bytes = in.get<std::uint64_t>();
  r.part_count = in.get<std::uint32_t>();
  r.parallel = in.get<std::uint32_t>();
  r.grant_id = in.text();
  r.certificate_id = in.text();
  return r;
}

part_sent read_part_sent(reader& in) {
  part_sent r;
  r.id = in.get<std::uint64_t>();
  r.number = in.get<std::uint32_t>();
  r.sha256 = in.text();
  return r;
}

grant_kept read_grant_kept(reader& in) {
  grant_kept r;
  r.id = in.get<std::uint64_t>();
  r.at_ms = in.get<std::int64_t>();
  r.lives_ms = in.get<std::int64_t>();
  const auto head = in.get<std::uint8_t>();
  r.create_only = head & flag_create_only;
  const unsigned statuses = head & ~flag_create_only;
  if (statuses > max_expected) in.refuse();
  for (unsigned i = 0; i < statuses && in.good(); ++i) r.expect.push_back(in.get<std::uint16_t>());
  r.grant_id = in.text();
  r.certificate_id = in.text();
  r.sealed = in.take(in.get<std::uint32_t>(), max_own_bytes);
  return r;
}

std::optional<record> read(std::uint8_t type, reader& in) {
  switch (type) {
    case type_accepted: return read_accepted(in);
    case type_sent: return read_sent(in);
    case type_ended: return read_ended(in);
    case type_forgotten: return forgotten{in.get<std::uint64_t>()};
    case type_next_id: return next_id{in.get<std::uint64_t>()};
    case type_plan_begun: return read_plan_begun(in);
    case type_part_sent: return read_part_sent(in);
    case type_grant_kept: return read_grant_kept(in);
    default: return std::nullopt;
  }
}

}  // namespace

std::string encode(const record& r) {
  return std::visit([](const auto& what) { return bytes_of(what); }, r);
}

result<std::optional<record>> take_record(std::string_view& bytes) {
  const auto cut = [] { return fail(errc::data_corrupt, "a record is cut off"); };
  reader head(bytes);
  const auto type = head.get<std::uint8_t>();
  const auto length = head.get<std::uint32_t>();
  if (bytes.size() < head_bytes || bytes.size() - head_bytes < length) return cut();
  reader body(bytes.substr(head_bytes, length));
  auto r = read(type, body);
  if (r && !body.complete()) return cut();
  bytes.remove_prefix(head_bytes + length);
  return r;
}

}  // namespace evp::runtime::journal
