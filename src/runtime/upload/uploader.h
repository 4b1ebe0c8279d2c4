// Drives the durable queue and its engine: the journal, HTTP exchanges, messages to the hub, files and timers.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>

#include "http/client.h"
#include "io/clock.h"
#include "io/pool.h"
#include "runtime/blobs.h"
#include "runtime/certificates.h"
#include "runtime/upload/local_files.h"
#include "runtime/upload/progress.h"
#include "runtime/upload/queue.h"
#include "runtime/upload/store.h"
#include "wire/runtime_status.h"

namespace evp::runtime::upload {

/// The way to the hub, as the uploader needs it. Lost messages are sent again by the engine.
class hub_requests {
 public:
  virtual ~hub_requests() = default;
  virtual void send(wire::device_request r) = 0;
};

struct uploader_options {
  io::fs::path folder;  ///< of the journal and the spool
  queue_limits queue;
  bool sync_sources = false;  ///< flush a module's file to the disk before its operation is accepted
  upload::limits limits;
  std::uint64_t bytes_per_second = 0;  ///< of all uploads together, a share for each of limits.transfers; 0: no bound
  retry_policy retry;
  std::uint64_t seed = 0;      ///< of jitter and request ids: random in production
  std::string default_ca_pem;  ///< for URLs without a certificate id; empty: the system's
  std::optional<http::proxy> via;
  std::uint64_t max_download_bytes = 64ULL << 30;  ///< a file beyond this is no file we can want
  milliseconds connect_timeout{10'000};
  milliseconds stall_timeout{30'000};
};

/// Confined to its executor. `disk` (one thread) runs what blocks for the disk. Everything borrowed must outlive
/// stop().
class uploader final : public blobs {
 public:
  uploader(io::executor ex, const io::clock& clock, http::transport& storage, certificate_store& certificates,
           hub_requests& hub, local_files& files, io::pool& disk, uploader_options options);

  /// Reads what an earlier run has left, and goes on with it. Once, before everything else; blocks for the disk.
  /// Errors: by errno; too_large, data_corrupt (the folder holds something else).
  result<void> start();

  std::uint32_t begin_life(const std::string& instance, std::weak_ptr<blob_listener> who) override;
  void end_life(std::uint32_t life) override;
  void submit(std::uint32_t life, std::uint64_t ticket, blob_order order) override;
  void want_outcomes(std::uint32_t life) override;
  void acknowledge(std::uint32_t life, std::uint64_t id) override;
  bool holds(const std::string& instance) const override { return queue_.holds(instance); }
  void forget_instance(const std::string& instance) override { drive(instance_removed{instance}); }

  void hub_connected() { drive(event(connected{})); }
  void hub_disconnected() { drive(event(disconnected{})); }
  /// A message on rpc/response/<topic_id>, decoded or not.
  void hub_answered(std::string_view topic_id, result<wire::hub_response> answer);

  /// Ends what is under way, without outcomes: the next run goes on with it. Nothing is called back afterwards.
  io::task<void> stop();
  std::size_t live() const noexcept { return queue_.live(); }
  const queue& state() const noexcept { return queue_; }
  /// What the uploader knows of it.
  void fill(wire::runtime_status& s) const;

 private:
  struct life {
    std::string instance;
    std::weak_ptr<blob_listener> who;
  };
  using source = std::shared_ptr<io::unique_fd>;

  void drive(queue_event e);
  void act(prepare& a);
  void act(drop_spooled& a);
  void act(write& a);
  void act(answer& a);
  void act(tell& a);
  void act(tell_earlier& a);
  void act(drained& a);
  void act(note_end& a);
  void act(request_grant& a);
  void act(hash_file& a);
  void act(request_certificate& a);
  void act(request_parts& a);
  void act(start_transfer& a);
  void act(send_report& a);
  void act(set_timer& a);
  /// Calls the life's listener later, if it still lives then.
  void later(std::uint32_t life, std::function<void(blob_listener&)> call);

  void answered(wire::storage_token_response r, std::uint64_t reqid);
  void answered(wire::certificate_response r, std::uint64_t reqid);
  void answered(wire::transfer_report_response r, std::uint64_t reqid);
  void answered(wire::grant_renew_response r, std::uint64_t reqid);

  io::task<void> spool(operation_id id, source from, std::uint64_t size);
  io::task<void> carry_out(write w, std::vector<source> sources);
  io::task<void> hash(operation_id id, journal::accepted what);
  io::task<void> transfer(start_transfer t, journal::accepted what);
  io::task<transfer_result> put(http::request r, journal::accepted what, std::optional<part> only);
  void watch(http::request& r, const journal::accepted& what, unsigned part, std::uint64_t base);
  io::task<transfer_result> get(http::request r, journal::accepted what);
  errno_result<opened_source> open_source(const journal::accepted& what);
  transfer_result to_result(result<http::response> answer) const;
  result<std::string> trust_of(const std::string& certificate_id);

  io::executor ex_;
  const io::clock& clock_;
  http::transport& storage_;
  certificate_store& certificates_;
  hub_requests& hub_;
  local_files& files_;
  io::pool& disk_;
  const uploader_options options_;
  std::shared_ptr<store> store_;
  secret key_;  ///< the store's
  queue queue_;
  std::deque<queue_event> events_;
  bool driving_ = false;
  bool stopping_ = false;

  std::map<std::uint32_t, life> lives_;
  std::uint32_t last_life_ = 0;
  std::map<std::pair<std::uint32_t, std::uint64_t>, source>
      offered_;                           ///< (life, ticket) -> its open file, until answered
  std::vector<source> unsynced_sources_;  ///< of operations that the next write accepts
  struct asked {
    operation_id id;
    std::uint64_t part_bytes = 0;  ///< of the plan whose parts are asked for; 0: a grant
    unsigned part_count = 0;
  };
  std::map<std::uint64_t, asked> asking_;       ///< by reqid
  std::map<std::string, std::string> bundles_;  ///< read certificates, bounded by the store
  progress progress_;
  std::deque<wire::runtime_status::failure> failures_;  ///< the latest, newest first
  boost::asio::steady_timer timer_;
  io::group tasks_;
};

}  // namespace evp::runtime::upload
