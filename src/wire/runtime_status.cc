// Numbers that can be large travel as decimal text, as everywhere.
#include "wire/runtime_status.h"

#include "wire/fields.h"

namespace evp::wire {
namespace {

json::string number(std::uint64_t n) { return json::string(std::to_string(n)); }

result<std::uint64_t> read_number(const json_reader& r, std::string_view key) {
  TRY(const auto n, r.optional_decimal(key));
  return n.value_or(0);
}
result<milliseconds> read_millis(const json_reader& r, std::string_view key) {
  TRY(const auto n, r.optional_integer(key));
  return milliseconds(n.value_or(0));
}
result<std::string> read_text(const json_reader& r, std::string_view key) {
  TRY(auto text, r.optional_text(key));
  return std::move(text).value_or("");
}

/// The counts by their names on the wire.
struct named_count {
  const char* name;
  std::uint64_t runtime_status::counts::*at;
};
constexpr named_count count_names[] = {{"accepted", &runtime_status::counts::accepted},
                                       {"succeeded", &runtime_status::counts::succeeded},
                                       {"failed", &runtime_status::counts::failed},
                                       {"refused", &runtime_status::counts::refused},
                                       {"dropped", &runtime_status::counts::dropped},
                                       {"quarantined", &runtime_status::counts::quarantined},
                                       {"lostOutcomes", &runtime_status::counts::lost_outcomes}};
struct named_size {
  const char* name;
  std::uint64_t runtime_status::*at;
};
constexpr named_size queue_names[] = {
    {"files", &runtime_status::files},          {"bytes", &runtime_status::bytes},
    {"spooledBytes", &runtime_status::spooled}, {"maxFiles", &runtime_status::files_max},
    {"maxBytes", &runtime_status::bytes_max},   {"maxSpooledBytes", &runtime_status::spooled_max}};

result<runtime_status::transfer> read_transfer(const json_reader& r) {
  runtime_status::transfer t;
  TRY(t.operation, read_number(r, "operation"));
  TRY(t.instance, read_text(r, "instance"));
  TRY(t.name, read_text(r, "name"));
  TRY(t.storage, read_text(r, "storage"));
  TRY(const auto upload, r.optional_boolean("upload"));
  t.is_upload = upload.value_or(true);
  TRY(t.moved, read_number(r, "movedBytes"));
  TRY(t.total, read_number(r, "totalBytes"));
  TRY(t.running, read_millis(r, "runningMillis"));
  return t;
}

result<runtime_status::storage> read_storage(const json_reader& r) {
  runtime_status::storage s;
  TRY(s.name, read_text(r, "name"));
  TRY(s.waiting, read_number(r, "waiting"));
  TRY(s.active, read_number(r, "active"));
  TRY(const auto paused, r.optional_boolean("paused"));
  s.paused = paused.value_or(false);
  return s;
}

result<runtime_status::failure> read_failure(const json_reader& r) {
  runtime_status::failure f;
  TRY(const auto at, r.text("at"));
  TRY(f.at, parse_rfc3339(at));
  TRY(f.operation, read_number(r, "operation"));
  TRY(f.instance, read_text(r, "instance"));
  TRY(f.name, read_text(r, "name"));
  TRY(f.message, read_text(r, "message"));
  return f;
}

/// Each object of the array, by `read`.
template <class T>
result<std::vector<T>> read_all(const json_reader& r, std::string_view key, result<T> (*read)(const json_reader&)) {
  std::vector<T> out;
  TRY(const auto* all, r.optional_array(key));
  if (!all) return out;
  for (const auto& v : *all) {
    if (!v.is_object()) return fail(errc::invalid_argument, r.path_of(key), "must hold objects");
    TRY(auto one, read(json_reader(v.get_object(), r.path_of(key))));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

std::string encode(const runtime_status& s) {
  json::object queue, counts;
  for (const auto& [name, at] : queue_names) queue.emplace(name, number(s.*at));
  for (const auto& [name, at] : count_names) counts.emplace(name, number(s.since_start.*at));
  json::array transfers, storages, failures;
  for (const auto& t : s.transfers)
    transfers.push_back(json::object{{"operation", number(t.operation)},
                                     {"instance", view(t.instance)},
                                     {"name", view(t.name)},
                                     {"storage", view(t.storage)},
                                     {"upload", t.is_upload},
                                     {"movedBytes", number(t.moved)},
                                     {"totalBytes", number(t.total)},
                                     {"runningMillis", t.running.count()}});
  for (const auto& x : s.storages)
    storages.push_back(json::object{
        {"name", view(x.name)}, {"waiting", number(x.waiting)}, {"active", number(x.active)}, {"paused", x.paused}});
  for (const auto& f : s.failures)
    failures.push_back(json::object{{"at", view(format_rfc3339(f.at))},
                                    {"operation", number(f.operation)},
                                    {"instance", view(f.instance)},
                                    {"name", view(f.name)},
                                    {"message", view(f.message)}});
  json::object o{
      {"version", view(s.version)},        {"connected", s.connected},        {"upMillis", s.up.count()},
      {"movedBytes", number(s.moved)},     {"queue", std::move(queue)},       {"sinceStart", std::move(counts)},
      {"transfers", std::move(transfers)}, {"storages", std::move(storages)}, {"failures", std::move(failures)}};
  return json::serialize(o);
}

result<runtime_status> decode_runtime_status(std::string_view text) {
  TRY(const auto o, parse_json_object(text, max_runtime_status_bytes));
  const json_reader r(o);
  runtime_status s;
  TRY(s.version, read_text(r, "version"));
  TRY(const auto connected, r.optional_boolean("connected"));
  s.connected = connected.value_or(false);
  TRY(s.up, read_millis(r, "upMillis"));
  TRY(s.moved, read_number(r, "movedBytes"));
  TRY(const auto queue, r.object("queue"));
  for (const auto& [name, at] : queue_names) { TRY(s.*at, read_number(queue, name)); }
  TRY(const auto counts, r.object("sinceStart"));
  for (const auto& [name, at] : count_names) { TRY(s.since_start.*at, read_number(counts, name)); }
  TRY(s.transfers, read_all(r, "transfers", read_transfer));
  TRY(s.storages, read_all(r, "storages", read_storage));
  TRY(s.failures, read_all(r, "failures", read_failure));
  return s;
}

}  // namespace evp::wire
