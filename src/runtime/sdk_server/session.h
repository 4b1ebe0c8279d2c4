// One life of a module as the runtime sees it: its requests are carried out, its events wait here for its next poll.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "runtime/blobs.h"
#include "runtime/instances.h"
#include "runtime/sdk_server/messages.h"
#include "runtime/sdk_server/workspace.h"

namespace evp::runtime::socket {

/// What a session needs from the rest of the runtime. All are called on the executor.
struct session_ports {
  std::string instance;
  blobs* transfers = nullptr;
  /// The instance's topics with their values.
  std::function<std::map<std::string, std::string>()> configuration;
  /// A state was sent. False: no room for another topic.
  std::function<bool(const std::string& topic, std::string bytes)> state;
  std::function<result<void>(std::string payload, std::function<void(bool)> sent)> telemetry;
  /// A local message. False: no such topic, or a subscriber had no room.
  std::function<bool(const std::string& alias, const std::string& bytes)> message;
};

/// Confined to the runtime's executor. Make it with std::make_shared: late outcomes find it gone by a weak pointer.
class session final : public blob_listener, public std::enable_shared_from_this<session> {
 public:
  // Events and calls that may wait for the module: a module that doesn't poll is told EVP_AGAIN, then.
  static constexpr std::size_t max_waiting = 1024;
  // File operations under way: what the queue may hold of one instance, at most.
  static constexpr std::size_t max_blobs = 10'000;
  static constexpr std::size_t max_waiting_bytes = 4 << 20;
  static constexpr std::size_t max_commands = 16;

  session(session_ports ports, workspace files) : ports_(std::move(ports)), files_(std::move(files)) {}

  // ---- the socket's side ----
  /// Carries out a request other than get_event and blob_input.
  answer perform(request r);
  /// Begins a file operation. `answered` is called exactly once while the session lives, with the operation's id for
  /// answer::ok (0: there is none to be acknowledged), as a rule later: when the operation is durable.
  void start_blob(blob_input r, std::function<void(answer, std::uint64_t id)> answered);
  /// What a poll says beside asking for an event.
  void hear(const get_event& poll);
  bool has_event() const noexcept { return !events_.empty() || !progress_.empty(); }
  event take_event();
  /// Called after an event came into an empty or non-empty queue.
  std::function<void()> on_event;

  // ---- the runtime's side ----
  /// A topic is new or has changed. Sent once the module has asked for its configuration; the latest value wins.
  void configure(const std::string& topic, std::string bytes);
  /// False: no room.
  bool deliver(std::string alias, std::string bytes);
  /// Errors: rate_limited. `done` is called exactly once, at the latest when the session ends.
  result<void> command(const wire::command_request& c, std::function<void(wire::command_response)> done);
  void states_sent();
  /// The module is to stop: every outstanding callback gets EXIT, then the Exit event; nothing comes after it.
  void exit();
  void accepted(std::uint64_t ticket, result<std::uint64_t> id) override;
  void ended(std::uint64_t ticket, std::uint64_t id, blob_outcome outcome) override;
  void ended_earlier(earlier_outcome outcome) override;
  void progressed(std::uint64_t id, std::uint64_t moved, std::uint64_t total) override;
  /// The process has gone: outstanding commands are answered with an error, everything else is dropped.
  void end();

 private:
  struct pending {
    done_event::kind what;
    tokens back;
  };
  struct pending_blob {
    blob_form form;
    bool acknowledges;
    tokens back;
  };
  struct pending_command {
    std::string reqid;
    std::function<void(wire::command_response)> done;
  };

  answer operator()(get_event&) { return answer::inval; }
  answer operator()(send_state& r);
  answer operator()(resend_configuration&);
  answer operator()(blob_input&) { return answer::inval; }
  answer operator()(send_telemetry& r);
  answer operator()(send_message& r);
  answer operator()(rpc_answer& r);
  answer operator()(stream_parameters&) { return answer::notsup; }

  bool has_room() const noexcept;
  void push(event e);
  void finish(std::uint64_t ticket, std::uint32_t reason);
  tl::expected<blob_order, answer> order_of(blob_input& r) const;
  std::optional<refused> find_file(const blob_input& r, blob_order& order) const;
  void refuse_blob(const blob_input& r, int error);
  std::uint32_t life();

  session_ports ports_;
  workspace files_;
  std::deque<event> events_;
  std::size_t event_bytes_ = 0;
  std::uint64_t last_ticket_ = 0;
  std::map<std::uint64_t, pending> pending_;
  std::uint32_t life_ = 0;  ///< as the queue names us; 0: we have not asked for anything yet
  bool wants_outcomes_ = false, wants_progress_ = false;
  std::map<std::uint64_t, progress_event> progress_;  ///< the latest of each operation; at most as many as run
  std::unordered_map<std::uint64_t, pending_blob> blobs_;
  std::map<std::uint64_t, std::function<void(answer, std::uint64_t)>> accepting_;  ///< by the ticket
  std::map<std::string, std::uint64_t> state_tickets_;                             // topic -> the callback that waits
  std::uint64_t last_command_ = 0;
  std::map<std::uint64_t, pending_command> commands_;
  bool wants_configuration_ = false;
  bool exiting_ = false;
};

}  // namespace evp::runtime::socket
