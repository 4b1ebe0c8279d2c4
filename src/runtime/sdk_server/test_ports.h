// Doubles for the session's tests: blobs that wait to be finished, states, telemetry and messages that are kept.
#pragma once

#include <fstream>

#include "runtime/sdk_server/session.h"

namespace evp::runtime::socket {

class fake_blobs final : public blobs {
 public:
  result<std::uint64_t> submit(blob_order order, std::function<void(blob_outcome)> done) override {
    if (full) return fail(errc::rate_limited, "full");
    orders.push_back(std::move(order));
    callbacks.push_back(std::move(done));
    return orders.size();
  }
  void forget_callbacks(const std::string&) override { callbacks.clear(); }

  bool full = false;
  std::vector<blob_order> orders;
  std::vector<std::function<void(blob_outcome)>> callbacks;
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

  fake_blobs transfers;
  std::map<std::string, std::string> configuration, states;
  std::vector<std::string> telemetry;
  std::vector<std::pair<std::string, std::string>> messages;
  io::fs::path base, root;
  std::shared_ptr<session> module;
};

}  // namespace evp::runtime::socket
