// evp-fleet-echo: what broker, plugin and disk allow at most. Stands where evp-backend does, and does no more than a
// durable answer costs: it answers each request with a text of a given size once a row for it is committed.
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/encoding.h"
#include "echo_store.h"
#include "loop.h"
#include "mqtt/control.h"
#include "mqtt/embedded_broker.h"
#include "mqtt_packets.h"
#include "programs.h"

namespace evp::bench {
namespace {

namespace fs = io::fs;
namespace control = mqtt::control;
constexpr auto version = mqtt_version::v311;

/// The backend's session at the broker: its credential, its subscriptions.
class echo final : public connection {
 public:
  echo(loop& l, echo_store& s, mqtt::options o, std::size_t answer_bytes)
      : connection(l), store_(s), options_(std::move(o)), answer_bytes_(answer_bytes) {
    open(options_.port);
  }
  bool connected = false;
  std::uint64_t acknowledged = 0;

  void answer(const std::vector<echo_request>& all) {
    std::string out, text;
    for (const auto& r : all) {
      text = R"({"storagetoken-response":{"reqid":")" + r.id + R"(","status":"ok","URL":")";
      text.append(std::max(answer_bytes_, text.size() + 3) - text.size() - 3, 'x');
      text += "\"}}";
      append_publish(out, version, to_device(r.device, "rpc/response/", r.id), text);
    }
    send(out);
  }
  void on_open() override {
    send(connect_packet(version, {options_.client_id, options_.username, options_.password.reveal()}, 0));
  }
  std::size_t on_bytes(std::string_view bytes) override {
    const auto size = bytes.size();
    std::vector<echo_request> fresh;
    packet p;
    auto outcome = read_packet(version, bytes, p);
    for (; outcome == reading::whole; outcome = read_packet(version, bytes, p)) on_packet(p, fresh);
    if (outcome == reading::malformed) give_up("the broker sent no MQTT");
    flush();
    if (!fresh.empty()) store_.add(std::move(fresh));
    return size - bytes.size();
  }
  std::string name() const override { return "the echo's session"; }

 private:
  static std::string to_device(std::string_view device, std::string_view what, std::string_view id) {
    std::string out(control::downstream_prefix);
    return out.append(device).append("/v1/devices/me/").append(what).append(id);
  }
  void on_packet(const packet& p, std::vector<echo_request>& fresh) {
    if (p.to_acknowledge) queue(puback_packet(*p.to_acknowledge));
    if (p.what == packet::kind::connack) {
      if (p.reason != 0) give_up("the broker refused the backend's password");
      queue(subscribe_packet(version, 1, "evp/presence/+", 1));
      queue(subscribe_packet(version, 2, "$share/evp-backend/evp/devices/#", 1));
      connected = true;
    }
    if (p.what != packet::kind::publish) return;
    if (p.topic == control::ack_topic) {
      const auto ack = control::decode_acknowledgement(p.payload);
      if (!ack || !ack->problem.empty()) give_up("the broker did not take the devices");
      acknowledged = ack->number;
    }
    if (p.topic.starts_with(control::upstream_prefix)) on_request(p, fresh);
  }
  void on_request(const packet& p, std::vector<echo_request>& fresh) {
    constexpr std::string_view rpc = "rpc/request/", get = "attributes/request/";
    const auto rest = p.topic.substr(control::upstream_prefix.size());
    const auto slash = rest.find('/');
    if (slash == rest.npos) return;
    const auto device = rest.substr(0, slash), what = rest.substr(slash + 1);
    if (what.starts_with(rpc)) {
      fresh.push_back({std::string(device), std::string(what.substr(rpc.size())), std::string(p.payload)});
    } else if (what.starts_with(get)) {
      std::string out;
      append_publish(out, version, to_device(device, "attributes/response/", what.substr(get.size())), "{}");
      queue(out);
    }
  }

  echo_store& store_;
  mqtt::options options_;
  std::size_t answer_bytes_;
};

/// Tells the broker the devices of the file: lines of an id and the SHA-256 of its token.
void tell_devices(loop& events, echo& session, const fs::path& file) {
  std::vector<control::command> commands{control::replace_begin{}};
  std::ifstream in(file);
  for (std::string id, digest; in >> id >> digest;)
    commands.push_back(control::set_device{.id = id, .token_sha256 = from_hex(digest).value_or("")});
  commands.push_back(control::replace_end{});
  std::uint64_t number = 0;
  for (const auto& text : control::encode_all(1, commands)) {
    std::string out;
    append_publish(out, version, control::topic, text);
    session.send(out);
    ++number;
    if (!events.run_until([&] { return session.acknowledged == number; }, std::chrono::seconds(30)))
      give_up("the broker does not take the devices");
  }
}

int run(const fs::path& folder, const fs::path& plugin, std::size_t answer_bytes) {
  boost::asio::io_context context(1);
  mqtt::embedded_broker_options o;
  o.plugin = plugin;
  o.on_log = [](std::string line) { std::fprintf(stderr, "broker: %s\n", line.c_str()); };
  auto broker = mqtt::embedded_broker::start(context.get_executor(), std::move(o));
  if (!broker) give_up(broker.error().message());

  loop events;
  const int done = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  echo_store store(folder / "echo.db", done);
  echo session(events, store, (*broker)->backend_options("evp-backend-echo"), answer_bytes);
  events.watch(done, [&] {
    eventfd_t ignored = 0;
    ::eventfd_read(done, &ignored);
    session.answer(store.committed());
  });
  if (!events.run_until([&] { return session.connected; }, std::chrono::seconds(10)))
    give_up("the broker does not answer");
  tell_devices(events, session, folder / "devices");
  std::ofstream(folder / "ready.tmp") << "{\"port\":" << (*broker)->port() << "}\n";
  fs::rename(folder / "ready.tmp", folder / "ready.json");
  for (auto looked = std::chrono::steady_clock::now();;) {  // until SIGTERM; the broker ends with this process
    events.run_once(std::chrono::milliseconds(100));
    const auto now = std::chrono::steady_clock::now();
    if (now - looked < std::chrono::milliseconds(100)) continue;
    looked = now;
    context.poll();  // what the broker logs, and whether it lives
  }
}

}  // namespace
}  // namespace evp::bench

int main(int argc, char** argv) {
  char* end = nullptr;
  const auto bytes = argc == 4 ? std::strtoul(argv[3], &end, 10) : 0;
  if (!end || *end != '\0' || bytes < 1 || bytes > 100'000) {
    std::fprintf(
        stderr,
        "Usage: evp-fleet-echo <folder> <evp_broker_plugin.so> <bytes of an answer: 1 to 100000>\n"
        "The peer of evp-backend that evp-fleet starts. Reads <folder>/devices, writes <folder>/ready.json.\n");
    return 2;
  }
  return evp::bench::run(argv[1], argv[2], bytes);
}
