// What the audit costs on the path of grants: the ledger's transactions with and without a record each, in turns, on
// one SQLite file. Usage: evp-bench-audit [FOLDER [GRANTS [IN_FLIGHT]]]
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "io/files.h"
#include "sql/events_store.h"
#include "sql/provider_changes_store.h"
#include "sql/services_store.h"

namespace {

using namespace evp;

struct turn {
  sql::database& db;
  std::int64_t grants;
  bool audited;
  std::int64_t next, left = 0;
};

/// As backend::ledger::issue writes it.
result<bool> issue(sql::connection& c, const std::string& id, bool audited) {
  sql::upload_row u{.grant_id = id,
                    .device = "camera-0001",
                    .instance = "up",
                    .request_id = "10001",
                    .service_id = "s",
                    .service_name = "default",
                    .service_revision = 1,
                    .object = "camera-0001/up/2026/11/23/" + id + ".jpg",
                    .operation = "put",
                    .state = "issued",
                    .can_report = true,
                    .size_declared = 123456,
                    .issued_at = 1795371410000,
                    .expires_at = 1795371530000,
                    .updated_at = 1795371410000};
  u.verify = "head";
  TRY(const auto blocks, sql::may_sign(c, u, {u.service_id, 0}, {}));
  if (!blocks) return false;
  CHECK(sql::insert_upload(c, u));
  CHECK(sql::append_upload_event(c, u.grant_id, "", u.state, u.reason, u.updated_at));
  if (!audited) return true;
  audit_record r;
  r.at = u.issued_at;
  r.actor = "device " + u.device;
  r.action = "grant.put";
  r.object_kind = "object";
  r.object_name = u.service_name + "/" + u.object;
  r.outcome = "ok";
  r.detail = "grant=" + u.grant_id;
  c.note(std::move(r));
  return true;
}

io::task<void> device(turn& r) {
  while (r.left > 0) {
    --r.left;
    const auto id = "g" + std::to_string(100'000'000 + r.next++);
    std::function<result<bool>(sql::connection&)> work = [id, audited = r.audited](sql::connection& c) {
      return issue(c, id, audited);
    };
    const auto done = co_await r.db.run<bool>(std::move(work));
    if (!done || !*done) std::fprintf(stderr, "a grant failed\n"), std::exit(1);
  }
}

/// Grants a second.
double run(boost::asio::io_context& ctx, turn& r, int in_flight) {
  r.left = r.grants;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < in_flight; ++i) boost::asio::co_spawn(ctx, device(r), boost::asio::detached);
  ctx.restart();
  ctx.run();
  return double(r.grants) / std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

int main(int argc, char** argv) {
  const io::fs::path folder = argc > 1 ? argv[1] : "/tmp/evp-bench-audit";
  const std::int64_t grants = argc > 2 ? std::atoll(argv[2]) : 20'000;
  const int in_flight = argc > 3 ? std::atoi(argv[3]) : 200;
  constexpr int rounds = 5;
  io::fs::remove_all(folder);
  if (!io::make_directories(folder)) return 1;
  boost::asio::io_context ctx(1);
  auto opened = sql::database::open(ctx.get_executor(), "sqlite://" + (folder / "backend.db").string());
  if (!opened) return std::fprintf(stderr, "%s\n", opened.error().message().c_str()), 1;
  sql::database& db = **opened;
  boost::asio::co_spawn(
      ctx,
      [](sql::database& db) -> io::task<void> {
        std::function<result<void>(sql::connection&)> add = [](sql::connection& c) {
          sql::service_row s;
          s.id = "s", s.name = "default", s.type = "LOCAL", s.verify = "head";
          return sql::insert_service(c, s);
        };
        (void)co_await db.run<void>(std::move(add));
      }(db),
      boost::asio::detached);
  ctx.run();
  std::vector<double> without, with;
  std::int64_t next = 0;
  for (int i = 0; i < rounds; ++i)
    for (const bool audited : {false, true}) {
      turn r{db, grants, audited, next};
      const auto before = db.count();
      const double rate = run(ctx, r, in_flight);
      const auto after = db.count();
      next = r.next;
      (audited ? with : without).push_back(rate);
      std::printf("%-8s %8.0f grants/s  %6.1f us of the database's thread each, %5.1f a commit\n",
                  audited ? "audit" : "no audit", rate,
                  1e6 * (after.busy_seconds - before.busy_seconds) / double(grants),
                  double(after.closures - before.closures) / double(after.commits - before.commits));
    }
  std::sort(with.begin(), with.end());
  std::sort(without.begin(), without.end());
  std::printf("median: %.0f without, %.0f with: %.1f %% fewer\n", without[rounds / 2], with[rounds / 2],
              100 * (1 - with[rounds / 2] / without[rounds / 2]));
  return 0;
}
