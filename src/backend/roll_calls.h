// Roll calls: every backend on the database answers, so that who blocks something learns in what time each has heard.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backend/audit.h"
#include "backend/signal.h"
#include "io/clock.h"
#include "sql/replicas_store.h"

namespace evp::backend {

/// What one backend says, or that it says nothing.
struct replica_answer {
  std::string id;    ///< of this run of it
  std::string host;  ///< the name of its machine
  bool is_this = false;
  timestamp seen_at;  ///< when it last showed that it lives, by its own clock; of this one: now
  /// Since the call was committed, by the clock of who called: at the latest then it had taken over all that was
  /// committed before, and its broker had answered or failed. Nothing: it was silent for roll_calls::answer_within.
  std::optional<milliseconds> within;
  bool online = false;                 ///< the device has a session, as that backend knows
  std::optional<milliseconds> broker;  ///< until its broker had answered; nothing: none was asked
  std::string broker_error;            ///< why the broker did not; empty: it did
};

struct roll_calls_context {
  io::executor ex;
  sql::database& db;
  const io::clock& clock;
  std::function<bool(const std::string& device)> online;
  /// Tells the broker once more what it knows of the device already.
  std::function<io::task<result<void>>(std::string device)> tell_broker;
};

/// Where the database is this program's own there is one backend, which answers at once. Confined to its executor.
class roll_calls {
 public:
  static constexpr milliseconds answer_within{3'000};  ///< a broker that hangs is given up after 2 s
  static constexpr milliseconds beat_every{10'000};
  static constexpr milliseconds forget_after{600'000};  ///< a backend that ended without a word is named for so long
  static constexpr std::int64_t max_under_way = 16;

  explicit roll_calls(roll_calls_context context);
  /// Asks all, this one among them, and waits for at most answer_within. Each takes over what was committed before,
  /// then asks its broker about the device (empty: none); nothing changes by that. `note` is recorded with the call.
  /// This one comes first. Errors: rate_limited (max_under_way), the database's.
  io::task<result<std::vector<replica_answer>>> call(std::string device, std::optional<audit_record> note);

  /// What a drill leaves in the audit.
  audit_record drill_note(const origin& by, std::string_view kind, const std::string& name,
                          std::string_view detail = {}) const {
    return done_now(context_.clock, by, action::block_drill, kind, name, detail);
  }

  /// Another has called, or may have; all that was committed before has been taken over.
  void on_called();
  /// Somebody has answered.
  void on_answered() { answered_.notify(); }
  /// Shows that this one lives, until cancelled.
  io::task<void> beat_forever();
  /// Ends what is under way, and says that this one is no more.
  io::task<void> stop();

 private:
  io::task<sql::roll_answer_row> rehearse(std::string device);
  io::task<void> answer_open();
  io::task<result<std::vector<replica_answer>>> gather(std::string call, std::vector<replica_answer> all,
                                                       steady_time began);

  roll_calls_context context_;
  std::string id_, host_;
  signal answered_;
  io::group running_;
};

}  // namespace evp::backend
