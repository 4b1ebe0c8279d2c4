// The thread that hears what other programs on the database announce.
// https://www.postgresql.org/docs/15/libpq-notify.html
#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <thread>

#include "sql/connection.h"

namespace evp::sql {
namespace {

constexpr milliseconds reconnect_after{500};  // one connection of one program: no crowd that jitter would scatter

}  // namespace

struct postgresql_listener::state {
  void work() {
    while (!stopping) {
      if (!conn) connect();
      wait(conn ? tick : reconnect_after);
      on_tick();
      if (conn) hear();
    }
  }

  void connect() {
    conn.reset(PQconnectdb(parameters.c_str()));
    PQsetNoticeProcessor(
        conn.get(), [](void*, const char*) {}, nullptr);
    const std::unique_ptr<PGresult, decltype(&PQclear)> r(PQexec(conn.get(), "LISTEN evp_changes"), PQclear);
    if (PQresultStatus(r.get()) != PGRES_COMMAND_OK) return conn.reset();
    on_announced();
  }

  void wait(milliseconds limit) {
    pollfd wanted[] = {{stop, POLLIN, 0}, {conn ? PQsocket(conn.get()) : -1, POLLIN, 0}};
    (void)::poll(wanted, 2, int(limit.count()));
  }

  void hear() {
    if (!PQconsumeInput(conn.get())) return conn.reset();
    bool any = false;
    while (auto* n = PQnotifies(conn.get())) {
      PQfreemem(n);
      any = true;
    }
    if (any) on_announced();
  }

  std::string parameters;
  std::function<void()> on_announced, on_tick;
  std::unique_ptr<PGconn, decltype(&PQfinish)> conn{nullptr, PQfinish};
  int stop = ::eventfd(0, EFD_CLOEXEC);
  std::atomic<bool> stopping = false;
  std::thread thread;
};

postgresql_listener::postgresql_listener(std::string parameters, std::function<void()> on_announced,
                                         std::function<void()> on_tick)
    : state_(std::make_unique<state>()) {
  state_->parameters = std::move(parameters);
  state_->on_announced = std::move(on_announced);
  state_->on_tick = std::move(on_tick);
  state_->thread = std::thread([s = state_.get()] { s->work(); });
}

postgresql_listener::~postgresql_listener() {
  state_->stopping = true;
  (void)::eventfd_write(state_->stop, 1);
  state_->thread.join();
  ::close(state_->stop);
}

}  // namespace evp::sql
