// Simulated devices: each a connection of its own that speaks as an EVP agent does and asks for storage tokens.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loop.h"
#include "mqtt_packets.h"

namespace evp::bench {

struct identity {
  std::string id, token;
};

/// What came of some requests.
struct load_report {
  std::size_t asked = 0, answered = 0;
  std::size_t refused = 0;       ///< of those answered: not "ok"
  std::string first_refusal;     ///< its text
  double seconds = 0;            ///< in which they were answered
  std::size_t answer_bytes = 0;  ///< payload of the last answer
  std::vector<float> latencies;  ///< milliseconds, sorted

  double rate() const { return seconds > 0 ? double(answered - refused) / seconds : 0; }
  /// Milliseconds within which that share of the answers came; 0 where there were none.
  double quantile(double share) const;
};

class fleet {
 public:
  static constexpr std::size_t connecting_at_once = 50;  ///< mosquitto's listen queue holds 100
  static constexpr std::size_t of_one_address = 20'000;  ///< devices that share an address of this machine
  static constexpr std::uint16_t keepalive_s = 400;      ///< the public agent's
  static constexpr std::size_t max_waiting = 50'000;     ///< requests without an answer; then ask_open asks no more
  /// What a device that runs one module says of itself.
  static constexpr std::string_view system_info =
      R"({"utsname":{"sysname":"Linux","nodename":"cam","release":"6.1.0","version":"#1 SMP","machine":"aarch64"},)"
      R"("protocolVersion":"EVP2-TB"})";
  static constexpr std::string_view deployment_status =
      R"({"deploymentId":"d1","reconcileStatus":"ok","modules":{"m1":{"status":"ok"}},)"
      R"("instances":{"camera":{"moduleId":"m1","status":"ok"}}})";

  /// storage: the key of each request.
  fleet(loop& l, std::uint16_t port, mqtt_version v, std::string storage);
  ~fleet();
  /// Devices that connect from now on use this port too, in turn.
  void also_at(std::uint16_t port) { ports_.push_back(port); }
  /// Connects further devices: CONNECT, four SUBSCRIBEs at QoS 0, a report, GET. Returns when all have been served.
  /// `halfway` is told when half of them are.
  void connect(const std::vector<identity>& all, std::size_t at_once = connecting_at_once,
               const std::function<void()>& halfway = nullptr);
  /// Drops all connections.
  void disconnect();
  std::size_t size() const noexcept { return devices_.size(); }

  /// For that time, keeps that many requests without an answer, over all devices in turn.
  load_report ask_closed(std::size_t outstanding, std::chrono::milliseconds time);
  /// That many, one after the other.
  load_report ask_alone(std::size_t count);
  /// One request, of the next device; take() reports on what was asked so since the last report.
  void ask_one();
  load_report take() { return finish(); }
  /// For that time, so many a second, whether answers come or not. Latencies count from when a request was due.
  load_report ask_open(double per_second, std::chrono::milliseconds time);

 private:
  class device;
  using clock = std::chrono::steady_clock;
  void ask(clock::time_point due);
  void answered(std::uint64_t id, std::string_view payload);
  load_report finish();
  void keep_alive();

  loop& loop_;
  std::vector<std::uint16_t> ports_;
  mqtt_version version_;
  std::string storage_;
  std::vector<std::unique_ptr<device>> devices_;
  std::size_t next_device_ = 0, served_ = 0;
  std::uint64_t next_id_ = 10'001;         ///< as the public agent's
  std::uint64_t first_ = next_id_;         ///< id of the first of waiting_
  std::deque<clock::time_point> waiting_;  ///< when each request was due; min() when answered
  load_report now_;
  clock::time_point began_, last_answer_, pinged_ = clock::now();
};

}  // namespace evp::bench
