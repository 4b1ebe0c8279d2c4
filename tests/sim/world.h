// The simulated world of one device: its disk, modules, hub and storages, which misbehave as a seed says until the
// faults stop. It drives the real queue, engine and journal, crashes them anywhere, and checks what they promise.
#pragma once

#include <map>
#include <queue>
#include <set>

#include "io/forgetful_disk.h"
#include "runtime/journal/journal.h"
#include "runtime/upload/queue.h"

namespace evp::sim {

using namespace runtime::upload;
using runtime::blob_outcome;
namespace journal = runtime::journal;

/// The syncs that the runtime makes, for the proof that it needs each of them.
enum class sync_kind {
  none,
  journal_append,
  journal_rewrite,
  journal_folder,
  recovered_journal,
  recovered_folder,
  spool_file,
  spool_folder
};

struct scenario {
  std::uint64_t seed = 1;
  sync_kind ignored = sync_kind::none;  ///< this one does nothing
  bool verbose = false;                 ///< prints what happens
  bool restless = false;                ///< every run of the runtime crashes soon
};

struct verdict_of_world {
  std::vector<std::string> violations;  ///< empty: all promises were kept
  std::size_t accepted = 0, succeeded = 0, failed = 0, crashes = 0, boundaries = 0;
  std::size_t kept_grants = 0;  ///< of an earlier run, taken up again
};

/// The spooled file of an operation.
std::string spool_name(operation_id id);

/// Runs one scenario to its end. The same scenario gives the same verdict.
verdict_of_world run(const scenario& s);

class world {
 public:
  explicit world(const scenario& s);
  verdict_of_world run();

 private:
  /// What was asked for, and everything that was ever said about it.
  struct asked_for {
    std::string name, instance, content;
    bool acknowledges = false, spooled = false, upload = true;
    std::uint32_t life = 0;
    operation_id id = 0;  ///< 0: not accepted, as far as the module knows
    bool refused = false, decided = false;
    std::vector<blob_outcome> told, told_earlier;
    std::set<std::uint32_t> told_in;
  };
  struct device_file {
    std::string content;
    std::int64_t mtime_ns = 0;
    std::uint64_t inode = 0;
  };
  struct module {
    std::string instance;
    bool acknowledges = false;
    std::uint32_t life = 0;  ///< 0: does not run
  };
  struct issued {
    std::string name;
    std::uint64_t size = 0;
    unsigned part_count = 0;  ///< 0: one upload
    std::map<unsigned, std::string> parts;
    bool given_up = false;  ///< the device has said so
    bool create_only = false;
    bool created = false;  ///< its object, at the storage
    bool judged = false;   ///< the hub has looked whether it arrived
  };

  // ---- time ----
  void at(milliseconds from_now, std::function<void()> what);
  /// The same, but forgotten when the runtime crashes.
  void later(milliseconds from_now, std::function<void()> what);
  void run_until(steady_time end, const std::function<bool()>& done);
  times now() const { return {now_, wall_}; }

  // ---- the runtime ----
  void boot();
  void crash();
  void step(queue_event e);
  void boundary();
  void act(prepare& a);
  void act(drop_spooled& a);
  void act(write& a);
  void act(answer& a);
  void act(tell& a);
  void act(tell_earlier& a);
  void act(drained&) {}
  void act(note_end& a);
  void act(request_grant& a);
  void act(hash_file& a);
  void act(request_certificate& a);
  void act(request_parts& a);
  static std::vector<part> page(const issued& g, unsigned first, unsigned last);
  void act(start_transfer& a);
  void act(send_report& a);
  void act(set_timer& a);
  void spool(operation_id id, const std::string& content);
  /// The file as the real driver opens it, or why it cannot.
  std::optional<transfer_result> read(const journal::accepted& what, std::string& bytes);
  transfer_result put(const start_transfer& t, const journal::accepted& what);

  // ---- the rest of the world ----
  void disturb();
  void start_module(module& m);
  void stop_module(module& m);
  void ask(module& m);
  void message(std::function<void()> deliver);
  transfer_result answer_of_storage();
  asked_for* find(operation_id id);
  void check_outcome(asked_for& a, const blob_outcome& o);
  void check_bounds();
  void check_end();
  void violated(std::string what);
  void say(const std::string& what) const;

  int pick(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }
  bool chance(int percent) { return pick(1, 100) <= percent; }
  bool faulty(int percent) { return !calm_ && chance(percent); }

  const scenario scenario_;
  std::mt19937_64 random_;
  verdict_of_world verdict_;
  steady_time now_{std::chrono::hours(1)};
  timestamp wall_;
  bool calm_ = false;
  using due = std::tuple<steady_time, std::uint64_t, std::function<void()>>;
  struct later_first {
    bool operator()(const due& a, const due& b) const {
      return std::tie(std::get<0>(a), std::get<1>(a)) > std::tie(std::get<0>(b), std::get<1>(b));
    }
  };
  std::priority_queue<due, std::vector<due>, later_first> agenda_;
  std::uint64_t order_ = 0;

  io::forgetful_disk journal_disk_, spool_disk_;
  std::unique_ptr<journal::journal> journal_;
  bool opening_ = false;
  bool lost_writes_ =
      false;  ///< the journal could not be written once: nothing is promised of what it should have held
  std::unique_ptr<queue> queue_;
  std::uint64_t boots_ = 0;
  std::size_t crash_at_ = 0;  ///< this boundary crashes; 0: none
  bool power_cut_ = false;    ///< the next crash forgets what was not synced
  std::deque<queue_event> events_;
  bool driving_ = false;
  std::optional<steady_time> timer_;

  bool hub_up_ = false;
  std::map<std::string, issued> grants_;
  std::map<std::string, std::string> objects_;  ///< by name: each is asked for once
  std::map<std::string, device_file> files_;
  std::vector<module> modules_;
  std::uint32_t last_life_ = 0;
  std::uint64_t last_ticket_ = 0, last_inode_ = 0, last_grant_ = 0;
  std::map<std::uint64_t, asked_for> asked_;  ///< by ticket
  std::map<operation_id, std::uint64_t> ticket_of_;
};

}  // namespace evp::sim
