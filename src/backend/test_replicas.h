// For tests: two whole backends on one database, which the test chooses.
#pragma once

#include "backend/test_world.h"
#include "sql/connection.h"

namespace evp::backend {

class two_backends : public world {
 protected:
  /// Instead of the one that world has opened.
  void open_both(std::string database_url) {
    close();
    database_url_ = std::move(database_url);
    open();
    add_default_service();
    add_device();
    other_ = std::move(b_);
    open();
  }
  void TearDown() override {
    close();
    b_ = std::move(other_);
  }
  wire::storage_token_response issue(backend& by, wire::storage_token_request r) {
    return run(by.grants.issue("cam-1", std::move(r), wire::dialect::evp2));
  }
  /// Runs both until that is so, for a minute at most.
  bool until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + seconds(60);
    bool is_so = condition();
    while (!is_so && std::chrono::steady_clock::now() < end) {
      ctx_.restart();
      ctx_.run_for(milliseconds(5));
      is_so = condition();
    }
    return is_so;
  }

  // On PostgreSQL:
  std::unique_ptr<sql::session> outside() {
    return sql::open_postgresql(sql::postgresql_parameters(database_url_).value()).value();
  }
  static bool somebody_waits(sql::session& s) {
    const auto found = s.query("SELECT count(*) AS n FROM pg_locks WHERE NOT granted");
    return found->at(0).integer("n") > 0;
  }
  /// Asks while a transaction of somebody else's with that change has not ended: the row's lock is all that tells of
  /// it. The answer waits for its commit.
  wire::storage_token_response ask_across(backend& by, std::string device,
                                          const std::function<bool(sql::session&)>& change) {
    const auto open = outside(), looking = outside();
    EXPECT_TRUE(open->execute("SET idle_in_transaction_session_timeout = 0"));
    EXPECT_TRUE(open->begin());
    EXPECT_TRUE(change(*open));
    const auto answer = std::make_shared<std::optional<wire::storage_token_response>>();
    io::asio::co_spawn(ctx_, by.grants.issue(std::move(device), ask("1"), wire::dialect::evp2),
                       [answer](std::exception_ptr, wire::storage_token_response r) { *answer = std::move(r); });
    EXPECT_TRUE(until([&] { return somebody_waits(*looking); }));
    EXPECT_FALSE(*answer);
    EXPECT_TRUE(open->commit());
    EXPECT_TRUE(until([&] { return answer->has_value(); }));
    return answer->value_or(wire::storage_token_response());
  }
  std::unique_ptr<backend> other_;
};

}  // namespace evp::backend
