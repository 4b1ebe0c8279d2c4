// The session on PostgreSQL. https://www.postgresql.org/docs/15/libpq.html
#include <soci/postgresql/soci-postgresql.h>
#include <sys/socket.h>

#include <atomic>
#include <mutex>

#include "sql/soci_session.h"

namespace evp::sql {
namespace {

using steady = std::chrono::steady_clock;

constexpr int oldest_server = 120000;
// Not a statement's own pace but other programs and the network are what these bound. A transaction that is idle
// halfway holds up everybody else: its program hangs, or is cut off from the server.
constexpr const char* settings =
    "SET client_min_messages = warning; SET default_transaction_isolation = 'read committed'; "
    "SET statement_timeout = '8s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '2s'; "
    "SELECT set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)";
constexpr const char* patient = "SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock(7169002)";
constexpr const char* impatient =
    "SET statement_timeout = '8s'; SET lock_timeout = '5s'; SELECT pg_advisory_unlock(7169002)";
// One at a time over all programs on the database; ends with the transaction, after its rows are visible.
constexpr const char* last_part_lock = "SELECT pg_advisory_xact_lock(7169001)";

// https://www.postgresql.org/docs/15/errcodes-appendix.html
bool is_conflict(std::string_view state) {
  return state == "40001" || state == "40P01" || state == "55P03";  // serialisation, deadlock, lock timeout
}

error from_sqlstate(std::string_view state, const std::string& text) {
  const auto of_class = [&](std::string_view c) { return state.starts_with(c); };
  if (state == "23505") return {errc::already_exists, "there is such a row already"};
  if (state == "23503")
    return {errc::failed_precondition, "the row refers to one that does not exist, or is referred to"};
  if (is_conflict(state)) return {errc::unavailable, "the database is busy with conflicting changes: try again"};
  if (state == "57014") return {errc::unavailable, "the database was too slow: try again"};
  if (state == "53100") return {errc::unavailable, "the database's disk is full"};
  if (state == "25006") return {errc::unavailable, "the database server is read-only at the moment"};
  if (state == "22021" || state == "22P05") return {errc::invalid_argument, "the text is not UTF-8"};
  if (of_class("XX00") && state != "XX000") return {errc::data_corrupt, "the database is damaged: " + text};
  if (of_class("08") || of_class("53") || of_class("57") || of_class("58") || state == "25P03" || state.empty())
    return {errc::unavailable, "the database is out of reach: " + text};
  if (of_class("28") || of_class("3D") || state == "42501")
    return {errc::failed_precondition, "the database refuses this user: " + text};
  return {errc::internal, "database: " + text};
}

/// One line, since errors are logged.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  return text;
}

class postgresql_session final : public soci_session {
 public:
  explicit postgresql_session(std::string parameters) : parameters_(std::move(parameters)) {}

  result<void> reconnect() override {
    disconnect();
    try {
      soci_ = std::make_unique<soci::session>(soci::postgresql, parameters_);
    } catch (...) { return fail(from_current_exception()); }
    conn_ = static_cast<soci::postgresql_session_backend*>(soci_->get_backend())->conn_;
    auto good = prepare_connection();
    if (!good) disconnect();
    return good;
  }

  result<rows> query(std::string_view text, const parameters& p) override {
    if (auto ok = check(p); !ok) return fail(std::move(ok).error());
    const busy now(*this);
    return soci_session::query(text, p);
  }
  result<std::int64_t> execute(std::string_view text, const parameters& p) override {
    if (auto ok = check(p); !ok) return fail(std::move(ok).error());
    const busy now(*this);
    return soci_session::execute(text, p);
  }

  result<void> begin() override {
    forget_failed();
    return control("BEGIN");
  }
  // Of a transaction that has failed the server makes a ROLLBACK, and calls that a success too.
  result<void> commit() override { return control("COMMIT", "COMMIT"); }
  void rollback() noexcept override {
    if (in_transaction()) (void)control("ROLLBACK");
  }
  bool in_transaction() const noexcept override {
    const auto status = PQtransactionStatus(conn_);
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
  }
  std::string_view for_share() const noexcept override { return " FOR SHARE"; }
  std::string_view for_update() const noexcept override { return " FOR NO KEY UPDATE"; }
  result<void> announce() override { return control("NOTIFY evp_changes"); }
  result<void> enter_last_part() override { return control(last_part_lock); }
  bool take_conflict() noexcept override { return std::exchange(conflict_, false); }
  bool is_lost() const noexcept override { return !conn_ || PQstatus(conn_) == CONNECTION_BAD; }
  result<void> begin_migrations() override { return control(patient); }
  result<void> end_migrations() override { return control(impatient); }

  void cut_if_silent(milliseconds limit) noexcept override {
    std::lock_guard lock(mutex_);
    const auto since = busy_since_;
    if (socket_ >= 0 && since && steady::now() - *since > limit) ::shutdown(socket_, SHUT_RDWR);
  }

 private:
  /// While one lives, the server owes an answer.
  struct busy {
    explicit busy(postgresql_session& s) : session(s) {
      std::lock_guard lock(session.mutex_);
      session.busy_since_ = steady::now();
    }
    ~busy() {
      std::lock_guard lock(session.mutex_);
      session.busy_since_.reset();
    }
    busy(const busy&) = delete;
    busy& operator=(const busy&) = delete;
    postgresql_session& session;
  };

  void disconnect() noexcept {
    {
      std::lock_guard lock(mutex_);
      socket_ = -1;
    }
    forget_statements();
    soci_.reset();
    conn_ = nullptr;
  }

  result<void> prepare_connection() {
    PQsetErrorVerbosity(conn_, PQERRORS_TERSE);  // details show what rows hold
    PQsetNoticeProcessor(
        conn_, [](void*, const char*) {}, nullptr);
    if (PQserverVersion(conn_) < oldest_server)
      return fail(errc::unsupported, "the database server is too old: use PostgreSQL 12 or later");
    const char* encoding = PQparameterStatus(conn_, "server_encoding");
    if (!encoding || std::string_view(encoding) != "UTF8")
      return fail(errc::failed_precondition, "the database must be made with ENCODING 'UTF8'");
    {
      std::lock_guard lock(mutex_);
      socket_ = PQsocket(conn_);
    }
    return control(settings);
  }

  // Texts with a zero byte would be cut there.
  result<void> check(const parameters& p) const {
    if (!conn_) return fail(errc::unavailable, "the database is out of reach");
    for (const auto& one : p)
      if (const auto* text = std::get_if<std::string>(&one.v); text && text->find('\0') != text->npos)
        return fail(errc::invalid_argument, "text must not hold a zero byte");
    return {};
  }

  /// Statements without parameters, not prepared: also where the transaction has failed. `tag`: what the server must
  /// say that it did.
  result<void> control(const char* text, std::string_view tag = {}) {
    if (!conn_) return fail(errc::unavailable, "the database is out of reach");
    const busy now(*this);
    const std::unique_ptr<PGresult, decltype(&PQclear)> r(PQexec(conn_, text), PQclear);
    const auto status = PQresultStatus(r.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      const char* state = PQresultErrorField(r.get(), PG_DIAG_SQLSTATE);
      return fail(note(state ? state : "", one_line(PQerrorMessage(conn_))));
    }
    if (!tag.empty() && tag != PQcmdStatus(r.get()))
      return fail(errc::unavailable, "the database gave the transaction up");
    return {};
  }

  error note(const std::string& state, const std::string& text) {
    conflict_ = conflict_ || is_conflict(state);
    return from_sqlstate(state, text);
  }

  error from_current_exception() override {
    try {
      throw;
    } catch (const soci::postgresql_soci_error& e) {
      // SOCI pads a missing state with blanks.
      auto state = e.sqlstate();
      while (!state.empty() && (state.back() == ' ' || state.back() == '\0')) state.pop_back();
      return note(state, one_line(e.get_error_message()));
    } catch (const soci::soci_error& e) {
      const bool gone = is_lost();
      return gone ? note("", one_line(e.get_error_message()))
                  : error(errc::internal, "database: " + one_line(e.what()));
    } catch (const std::exception& e) { return {errc::internal, "database: " + one_line(e.what())}; }
  }

  std::string parameters_;
  PGconn* conn_ = nullptr;  ///< of soci_
  bool conflict_ = false;
  std::mutex mutex_;
  int socket_ = -1;                               // guarded by mutex_; -1: not connected
  std::optional<steady::time_point> busy_since_;  // guarded by mutex_
};

}  // namespace

result<std::unique_ptr<session>> open_postgresql(std::string parameters) {
  auto s = std::make_unique<postgresql_session>(std::move(parameters));
  CHECK(s->reconnect());
  return s;
}

}  // namespace evp::sql
