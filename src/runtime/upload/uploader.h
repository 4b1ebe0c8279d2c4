// Drives the upload engine: HTTP exchanges, messages to the hub, files and timers.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <unordered_map>

#include "http/client.h"
#include "io/clock.h"
#include "io/pool.h"
#include "runtime/blobs.h"
#include "runtime/certificates.h"
#include "runtime/upload/engine.h"

namespace evp::runtime::upload {

/// The way to the hub, as the uploader needs it. Lost messages are sent again by the engine.
class hub_requests {
 public:
  virtual ~hub_requests() = default;
  virtual void send(wire::device_request r) = 0;
};

struct uploader_options {
  upload::limits limits;
  retry_policy retry;
  std::uint64_t seed = 0;      ///< of jitter and request ids: random in production
  std::string default_ca_pem;  ///< for URLs without a certificate id; empty: the system's
  std::optional<http::proxy> via;
  std::uint64_t max_download_bytes = 64ULL << 30;  ///< a file beyond this is no file we can want
  milliseconds connect_timeout{10'000};
  milliseconds stall_timeout{30'000};
};

/// Confined to its executor. `disk` runs what blocks for the disk. Everything borrowed must outlive stop().
class uploader final : public blobs {
 public:
  uploader(io::executor ex, const io::clock& clock, http::transport& storage, certificate_store& certificates,
           hub_requests& hub, io::pool& disk, uploader_options options);

  result<std::uint64_t> submit(blob_order order, std::function<void(blob_outcome)> done) override;
  void forget_callbacks(const std::string& instance) override;

  void hub_connected() { drive(connected{}); }
  void hub_disconnected() { drive(disconnected{}); }
  /// A message on rpc/response/<topic_id>, decoded or not.
  void hub_answered(std::string_view topic_id, result<wire::hub_response> answer);

  /// Ends what is under way, without outcomes. Nothing is called back afterwards.
  io::task<void> stop();
  std::size_t live() const noexcept { return engine_.live(); }

 private:
  struct entry {
    blob_order order;
    std::function<void(blob_outcome)> done;
  };

  void drive(event e);
  void perform(actions all);
  void act(refuse&) {}
  void act(request_grant& a);
  void act(request_certificate& a);
  void act(start_transfer& a);
  void act(send_report& a);
  void act(set_timer& a);
  void act(finish& a);

  void answered(wire::storage_token_response r, std::uint64_t reqid);
  void answered(wire::certificate_response r, std::uint64_t reqid);
  void answered(wire::transfer_report_response r, std::uint64_t reqid);
  void answered(wire::grant_renew_response, std::uint64_t) {}  // plans are not asked for

  io::task<void> transfer(start_transfer t, blob_order order);
  io::task<transfer_result> put(http::request r, blob_order order);
  io::task<transfer_result> get(http::request r, blob_order order);
  transfer_result to_result(result<http::response> answer) const;
  result<std::string> trust_of(const std::string& certificate_id);

  io::executor ex_;
  const io::clock& clock_;
  http::transport& storage_;
  certificate_store& certificates_;
  hub_requests& hub_;
  io::pool& disk_;
  const uploader_options options_;
  engine engine_;
  std::deque<event> events_;
  bool driving_ = false;
  bool stopping_ = false;
  operation_id last_id_ = 0;
  std::unordered_map<operation_id, entry> entries_;
  std::unordered_map<std::uint64_t, operation_id> asking_;  ///< reqid of a grant request -> operation
  std::map<std::string, std::string> bundles_;              ///< read certificates, bounded by the store
  boost::asio::steady_timer timer_;
  io::group transfers_;
};

}  // namespace evp::runtime::upload
