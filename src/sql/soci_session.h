// Statements of SOCI, prepared once and bound by name: what the sessions on SQLite and on PostgreSQL have in common.
#pragma once

#include <soci/soci.h>

#include <deque>
#include <unordered_map>

#include "sql/connection.h"

namespace evp::sql {

class soci_session : public session {
 public:
  result<rows> query(std::string_view text, const parameters& p) override;
  result<std::int64_t> execute(std::string_view text, const parameters& p) override;

 protected:
  /// In a catch block: the only function of a session that turns SOCI's exceptions into errors.
  virtual error from_current_exception() = 0;
  /// Forgets the prepared statements; before the connection ends.
  void forget_statements() noexcept {
    prepared_.clear();
    failed_.clear();
  }
  /// Forgets those that have failed: SOCI frees the values of those only with the statement, and the server will hear
  /// of it only outside of the transaction that has failed.
  void forget_failed() noexcept { failed_.clear(); }

  std::unique_ptr<soci::session> soci_;

 private:
  /// A statement, the values bound to it and the row it gives; SOCI keeps pointers to them, so they stay where they
  /// are.
  struct bound {
    bound(soci::session& s, std::string_view text, const parameters& p, bool gives_rows);
    /// Takes the values of the next execution, of the kinds that it was made with.
    void assign(const parameters& p);
    std::deque<long long> integers;
    std::deque<std::string> texts;
    soci::indicator null = soci::i_null;
    soci::row fetched;
    soci::statement statement;
  };
  /// Statements are kept, since preparing one takes longer than executing it.
  bound& prepared(std::string_view text, const parameters& p, bool gives_rows);
  /// In a catch block: the error, and what was running is prepared anew the next time.
  tl::unexpected<error> failed();

  // Gone before the session.
  std::unordered_map<std::string, std::unique_ptr<bound>> prepared_;
  std::vector<std::unique_ptr<bound>> failed_;
  std::string running_;  ///< the key of what was executed last
};

}  // namespace evp::sql
