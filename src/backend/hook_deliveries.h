// The outbox's other end: makes the deliveries that finished uploads have left in the database, until each has arrived.
#pragma once

#include <random>
#include <set>

#include "backend/hooks.h"
#include "http/client.h"
#include "sql/hooks_store.h"

namespace evp::backend {

struct delivery_limits {
  milliseconds answer_within{10'000};
  milliseconds retry_first{1'000};         ///< doubles after each failure, with full jitter
  milliseconds retry_most{600'000};        ///< up to here
  milliseconds retry_least{100};           ///< whatever the jitter draws
  milliseconds give_up_after{86'400'000};  ///< since the change; then the next failure is the last
  std::size_t parallel = 8;                ///< to one receiver; each has its own
  std::size_t batch = 64;                  ///< read at once
};

/// What the body of a delivery is made of.
struct hook_message {
  std::string id;  ///< of the delivery: the same at each attempt, and for each hook that is told of this change
  std::string hook;
  upload_event event;
};

struct hook_deliveries_context {
  sql::database& db;
  hooks& known;
  signal& outbox;
  http::transport& transport;  ///< guarded
  const io::clock& clock;
  std::function<std::string(const hook_message&)> write;  ///< as JSON
  delivery_limits limits;
  std::function<bool()> leads;  ///< deliveries are made while it says so
};

/// At least once: a delivery leaves the outbox when its receiver has answered 2xx, and goes again where that answer or
/// its record was lost. Confined to its executor.
class hook_deliveries {
 public:
  hook_deliveries(io::executor ex, hook_deliveries_context context);
  ~hook_deliveries();
  /// Delivers until cancelled: a worker for each hook, so that a dead receiver holds up no other.
  io::task<void> run_forever();
  /// Ends the workers; before destruction.
  io::task<void> stop();

 private:
  struct round {
    std::vector<sql::delivery_row> due;
    std::optional<timestamp> next;  ///< when the first that is not due will be
  };
  io::task<void> work(std::string hook);
  io::task<result<round>> next_round(std::string hook);
  io::task<void> deliver_one(sql::delivery_row row);
  io::task<result<void>> send(const live_hook& to, std::string id, std::string body);
  io::task<void> record(sql::delivery_row row, result<void> outcome);
  io::task<void> give_up(sql::delivery_row row, std::string why);
  milliseconds wait_after(std::int64_t attempts);

  hook_deliveries_context context_;
  std::set<std::string> working_;
  std::mt19937_64 random_;
  io::executor ex_;
  io::group running_;
};

}  // namespace evp::backend
