// Doubles for the session's tests: blobs that wait to be finished, states, telemetry and messages that are kept.
#pragma once

#include <fstream>

#include "runtime/sdk_server/session.h"

namespace evp::runtime::socket {

/// Accepts at once unless told otherwise; the test ends operations by their place in `orders`.
class fake_blobs final : public blobs {
 public:
  std::uint32_t begin_life(const std::string&, std::weak_ptr<blob_listener> who) override {
    listener = std::move(who);
    return ++lives;
  }
  void end_life(std::uint32_t) override { listener.reset(); }
  void submit(std::uint32_t, std::uint64_t ticket, blob_order order) override {
    if (full) return answer(ticket, fail(errc::rate_limited, "full"));
    orders.push_back(std::move(order));
    tickets.push_back(ticket);
    if (!slow) answer(ticket, orders.size());
  }
  void want_outcomes(std::uint32_t) override { ++wanted; }
  void acknowledge(std::uint32_t, std::uint64_t id) override { acknowledged.push_back(id); }
  bool holds(const std::string&) const override { return false; }
  void forget_instance(const std::string&) override {}

  void answer(std::uint64_t ticket, result<std::uint64_t> id) {
    if (const auto who = listener.lock()) who->accepted(ticket, std::move(id));
  }
  void end(std::size_t index, blob_outcome o) {
    if (const auto who = listener.lock()) who->ended(tickets.at(index), index + 1, o);
  }
  void move(std::size_t index, std::uint64_t bytes) {
    if (const auto who = listener.lock()) who->progressed(index + 1, bytes, 100);
  }

  bool full = false, slow = false;
  int wanted = 0;
  std::uint32_t lives = 0;
  std::vector<blob_order> orders;
  std::vector<std::uint64_t> tickets, acknowledged;
  std::weak_ptr<blob_listener> listener;
};

/// A session on a fresh workspace.
struct session_world {
  session_world() {
    char name[] = "/tmp/evp-session-XXXXXX";
    base = ::mkdtemp(name);
    root = base / "default_workspace";
    io::fs::create_directory(root);
    std::ofstream(root / "a.bin") << "12345";
    session_ports p;
    p.instance = "up";
    p.transfers = &transfers;
    p.configuration = [this] { return configuration; };
    p.state = [this](const std::string& topic, std::string bytes) { return states[topic] = std::move(bytes), true; };
    p.telemetry = [this](std::string payload, std::function<void(bool)> sent) -> result<void> {
      telemetry.push_back(std::move(payload));
      sent(true);
      return {};
    };
    p.message = [this](const std::string& alias, const std::string& bytes) {
      messages.emplace_back(alias, bytes);
      return alias == "known";
    };
    module = std::make_shared<session>(std::move(p), *workspace::open(root.string(), std::nullopt));
  }
  ~session_world() { io::fs::remove_all(base); }

  /// The answer to a file operation, or nothing while it is being accepted.
  std::optional<answer> start(blob_input r) {
    auto out = std::make_shared<std::optional<answer>>();
    module->start_blob(std::move(r), [out](answer a, std::uint64_t) { *out = a; });
    return *out;
  }

  fake_blobs transfers;
  std::map<std::string, std::string> configuration, states;
  std::vector<std::string> telemetry;
  std::vector<std::pair<std::string, std::string>> messages;
  io::fs::path base, root;
  std::shared_ptr<session> module;
};

}  // namespace evp::runtime::socket
