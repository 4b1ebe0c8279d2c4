#include "cli/audit_verifier.h"

#include "base/encoding.h"
#include "base/time.h"
#include "wire/json.h"

namespace evp::cli {
namespace {

tl::unexpected<error> broken(std::int64_t number, std::string_view why) {
  return fail(errc::data_corrupt, "record " + std::to_string(number) + ": " + std::string(why));
}

result<std::string> read_hash(const std::string& text) {
  auto raw = from_hex(text);
  if (!raw || raw->size() != audit_hash_bytes || to_lower(text) != text)
    return fail(errc::data_corrupt, "a hash must be 64 lower-case hexadecimal digits");
  return raw;
}

result<chain_place> read_place(const wire::json_reader& line, std::string_view name) {
  TRY(const auto place, line.object(name));
  TRY(const auto number, place.optional_integer("number"));
  chain_place out;
  TRY(out.hash, place.text("hash"));
  out.number = number.value_or(-1);
  if (out.number < 0) return fail(errc::data_corrupt, "the line of \"" + std::string(name) + "\" has no number");
  return out;
}

}  // namespace

result<chain_place> parse_chain_place(std::string_view text) {
  const auto colon = text.find(':');
  const auto number = wire::parse_decimal(text.substr(0, colon));
  const auto hash = colon == text.npos ? std::string() : std::string(text.substr(colon + 1));
  if (!number || *number > INT64_MAX || !read_hash(hash))
    return fail(errc::invalid_argument, "--known must be NUMBER:HASH, as evpctl audit verify prints it");
  return chain_place{std::int64_t(*number), hash};
}

result<void> audit_verifier::feed(std::string_view bytes) {
  rest_ += bytes;
  std::size_t from = 0;
  for (auto end = rest_.find('\n'); end != rest_.npos; end = rest_.find('\n', from)) {
    CHECK(take_line(std::string_view(rest_).substr(from, end - from)));
    from = end + 1;
  }
  rest_.erase(0, from);
  if (rest_.size() > max_line_bytes)
    return fail(errc::data_corrupt, "after record " + std::to_string(number_) + " there is a line of more than " +
                                        std::to_string(max_line_bytes) + " bytes");
  return {};
}

result<void> audit_verifier::take_line(std::string_view line) {
  if (ended_) return fail(errc::data_corrupt, "there is more after the line of \"end\"");
  if (begun_ && !line.starts_with("{\"end\"")) return take_record(line);
  TRY(const auto object, wire::parse_json_object(line, max_line_bytes));
  const wire::json_reader reader(object);
  if (!begun_ && reader.has("tenant"))
    return fail(errc::data_corrupt,
                "these are one tenant's records: only who sees all of them can verify the chain. Compare them with an "
                "earlier export instead (docs/audit.md)");
  if (!begun_) {
    TRY(const auto place, read_place(reader, "after"));
    TRY(hash_, read_hash(place.hash));
    if (place.number == 0 && hash_ != audit_chain_start())
      return fail(errc::data_corrupt, "the first record of all must be chained to zeros");
    number_ = place.number;
    begun_ = true;
    return compare_known();
  }
  TRY(const auto place, read_place(reader, "end"));
  if (place.number != number_)
    return fail(errc::data_corrupt, "the last record is " + std::to_string(number_) + ", but the chain ends with " +
                                        std::to_string(place.number) + ": records are missing at the end");
  if (place.hash != to_hex(hash_)) return broken(number_, "its hash is not the one that the chain ends with");
  ended_ = true;
  return {};
}

result<void> audit_verifier::take_record(std::string_view line) {
  TRY(const auto object, wire::parse_json_object(line, max_line_bytes));
  const wire::json_reader r(object);
  CHECK(r.only({"number", "at", "actor", "action", "objectKind", "objectName", "peer", "outcome", "detail", "hash"}));
  TRY(const auto number, r.optional_integer("number"));
  audit_record record;
  record.number = number.value_or(0);
  if (record.number != number_ + 1)
    return broken(record.number,
                  "it comes after " + std::to_string(number_) + ": records are missing, inserted or in another order");
  TRY(const auto at, r.text("at"));
  TRY(const auto time, parse_rfc3339(at));
  record.at = time.time_since_epoch().count();
  TRY(record.actor, r.text("actor"));
  TRY(record.action, r.text("action"));
  TRY(record.object_kind, r.text("objectKind"));
  TRY(record.object_name, r.text("objectName"));
  TRY(record.peer, r.text("peer"));
  TRY(record.outcome, r.text("outcome"));
  TRY(record.detail, r.text("detail"));
  TRY(const auto told, r.text("hash"));
  hash_ = audit_hash(hash_, record);
  if (told != to_hex(hash_))
    return broken(record.number,
                  "its hash is not that of its content and of the record before it: one of the two "
                  "was changed, or records were exchanged");
  number_ = record.number;
  if (records_++ == 0) first_ = number_;
  return compare_known();
}

result<void> audit_verifier::compare_known() {
  if (!known_ || known_->number != number_) return {};
  known_seen_ = true;
  if (known_->hash == to_hex(hash_)) return {};
  return broken(number_, "it is not the one that was known before: the chain was written anew");
}

result<audit_verifier::verdict> audit_verifier::finish() const {
  if (!ended_)
    return fail(errc::data_corrupt, "after record " + std::to_string(number_) +
                                        " there is no line of \"end\": this is not the whole export");
  if (known_ && !known_seen_)
    return fail(errc::data_corrupt, "record " + std::to_string(known_->number) +
                                        ", which was known before, is not among them: " +
                                        (known_->number < first_ ? "retention has dropped it" : "records are missing"));
  return verdict{records_, first_, {number_, to_hex(hash_)}};
}

}  // namespace evp::cli
