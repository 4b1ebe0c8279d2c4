#include "backend/roll_calls.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "backend/unix_ms.h"
#include "base/crypto.h"
#include "sql/changes_store.h"

namespace evp::backend {
namespace {

constexpr milliseconds look_again{100};  // where a notification was lost
constexpr std::size_t max_error_bytes = 256;

std::string machine_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

// What answers come from is other processes: no test can advance their time.
steady_time now() { return std::chrono::steady_clock::now(); }
milliseconds since(steady_time began) { return std::chrono::ceil<milliseconds>(now() - began); }

void fill(replica_answer& out, const sql::roll_answer_row& a, milliseconds within) {
  out.within = within;
  out.online = a.online;
  if (a.broker_ms >= 0) out.broker = milliseconds(a.broker_ms);
  out.broker_error = a.broker_error;
}

}  // namespace

roll_calls::roll_calls(roll_calls_context context)
    : context_(std::move(context)), id_(random_id(16)), host_(machine_name()), running_(context_.ex) {}

io::task<sql::roll_answer_row> roll_calls::rehearse(std::string device) {
  sql::roll_answer_row out;
  out.replica = id_;
  if (device.empty()) co_return out;
  out.online = context_.online(device);
  const auto began = now();
  const auto told = co_await context_.tell_broker(device);
  out.broker_ms = since(began).count();
  if (!told) out.broker_error = told.error().message().substr(0, max_error_bytes);
  co_return out;
}

io::task<result<std::vector<replica_answer>>> roll_calls::call(std::string device, std::optional<audit_record> note) {
  using replicas = std::vector<sql::replica_row>;
  const sql::roll_call_row mine{random_id(16), device, to_ms(context_.clock.now())};
  const bool shared = context_.db.is_shared();
  std::function<result<replicas>(sql::connection&)> open = [mine, shared, note,
                                                            me = id_](sql::connection& c) -> result<replicas> {
    if (note) c.note(*note);
    if (!shared) return replicas();
    TRY(const bool opened, sql::insert_roll_call(c, mine, mine.at - forget_after.count(), max_under_way));
    if (!opened)
      return fail(error(errc::rate_limited, "too many roll calls are under way: try again").after(answer_within));
    // This one answers its caller directly.
    sql::roll_answer_row own;
    own.replica = me;
    CHECK(sql::insert_roll_answer(c, mine.id, own));
    sql::note_change(c, "roll-call", mine.id);
    return sql::list_replicas(c);
  };
  CO_TRY(const auto there, co_await context_.db.run<replicas>(std::move(open)));
  const auto began = now();
  std::vector<replica_answer> all(1);
  all[0].id = id_;
  all[0].host = host_;
  all[0].is_this = true;
  all[0].seen_at = context_.clock.now();
  const auto own = co_await rehearse(std::move(device));
  fill(all[0], own, since(began));
  for (const auto& r : there) {
    if (r.id == id_) continue;
    replica_answer other;
    other.id = r.id;
    other.host = r.host;
    other.seen_at = from_ms(r.seen_at);
    all.push_back(std::move(other));
  }
  if (!shared) co_return all;
  auto outcome = co_await gather(mine.id, std::move(all), began);
  std::function<result<void>(sql::connection&)> over = [id = mine.id](sql::connection& c) {
    return sql::remove_roll_call(c, id);
  };
  (void)co_await context_.db.run<void>(std::move(over));  // else a later call forgets it
  co_return outcome;
}

io::task<result<std::vector<replica_answer>>> roll_calls::gather(std::string call, std::vector<replica_answer> all,
                                                                 steady_time began) {
  using answers = std::vector<sql::roll_answer_row>;
  for (;;) {
    const auto seen = answered_.count();
    std::function<result<answers>(sql::connection&)> read = [call](sql::connection& c) {
      return sql::list_roll_answers(c, call);
    };
    CO_TRY(const auto found, co_await context_.db.run<answers>(std::move(read)));
    const auto took = since(began);
    std::size_t silent = 0;
    for (auto& one : all) {
      if (one.within) continue;
      const auto answer = std::find_if(found.begin(), found.end(), [&](const auto& a) { return a.replica == one.id; });
      if (answer == found.end())
        ++silent;
      else
        fill(one, *answer, took);
    }
    const bool cancelled = co_await io::is_cancelled();
    if (silent == 0 || took >= answer_within || cancelled) co_return all;
    co_await answered_.wait(seen, std::min(look_again, answer_within - took));
  }
}

void roll_calls::on_called() {
  if (context_.db.is_shared()) running_.spawn(answer_open());
}

io::task<void> roll_calls::answer_open() {
  using calls = std::vector<sql::roll_call_row>;
  std::function<result<calls>(sql::connection&)> read = [me = id_](sql::connection& c) {
    return sql::list_open_roll_calls(c, me);
  };
  const auto open = co_await context_.db.run<calls>(std::move(read));
  if (!open) co_return;  // who called is told that this one is silent
  for (const auto& call : *open) {
    auto answer = co_await rehearse(call.device);
    std::function<result<void>(sql::connection&)> tell = [id = call.id, answer](sql::connection& c) -> result<void> {
      CHECK(sql::insert_roll_answer(c, id, answer));
      sql::note_change(c, "roll-answer", id);
      return {};
    };
    (void)co_await context_.db.run<void>(std::move(tell));
  }
}

io::task<void> roll_calls::beat_forever() {
  if (!context_.db.is_shared()) co_return;
  co_await io::asio::this_coro::throw_if_cancelled(false);
  for (bool on = true; on;) {
    const auto at = to_ms(context_.clock.now());
    const sql::replica_row me{id_, host_, at};
    std::function<result<void>(sql::connection&)> keep = [me](sql::connection& c) {
      return sql::keep_replica(c, me, me.seen_at - forget_after.count());
    };
    (void)co_await context_.db.run<void>(std::move(keep));  // what looks for changes says that the database is away
    on = co_await io::sleep_for(beat_every);
  }
}

io::task<void> roll_calls::stop() {
  co_await running_.stop();
  if (!context_.db.is_shared()) co_return;
  std::function<result<void>(sql::connection&)> leave = [me = id_](sql::connection& c) {
    return sql::remove_replica(c, me);
  };
  (void)co_await context_.db.run<void>(std::move(leave));
}

}  // namespace evp::backend
