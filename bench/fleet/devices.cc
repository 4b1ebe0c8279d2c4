// Simulated devices.
#include "devices.h"

#include <algorithm>
#include <charconv>

#include "programs.h"
#include "progress.h"

namespace evp::bench {

namespace {

constexpr std::string_view answer_prefix = "v1/devices/me/rpc/response/";
constexpr std::string_view attributes_answer = "v1/devices/me/attributes/response/";
constexpr std::string_view filters[] = {"v1/devices/me/attributes", "v1/devices/me/attributes/response/+",
                                        "v1/devices/me/rpc/request/+", "v1/devices/me/rpc/response/+"};
constexpr auto answer_limit = std::chrono::seconds(6);  // the hub answers within 4 s always
constexpr auto connect_limit = std::chrono::minutes(10);
constexpr auto no_time = std::chrono::steady_clock::time_point::min();

}  // namespace

double load_report::quantile(double share) const {
  if (latencies.empty()) return 0;
  return double(latencies[std::min(latencies.size() - 1, std::size_t(share * double(latencies.size())))]);
}

class fleet::device final : public connection {
 public:
  device(fleet& f, identity who) : connection(f.loop_), fleet_(f), who_(std::move(who)) {
    open(f.ports_[f.devices_.size() % f.ports_.size()], std::uint32_t(f.devices_.size() / of_one_address));
  }
  void on_open() override { send(connect_packet(fleet_.version_, {who_.id, who_.id, who_.token}, keepalive_s)); }
  std::size_t on_bytes(std::string_view bytes) override {
    const auto size = bytes.size();
    packet p;
    auto outcome = read_packet(fleet_.version_, bytes, p);
    for (; outcome == reading::whole; outcome = read_packet(fleet_.version_, bytes, p)) on_packet(p);
    if (outcome == reading::malformed) give_up(name() + ": the broker sent no MQTT");
    return size - bytes.size();
  }
  std::string name() const override { return "device " + who_.id; }

 private:
  void on_packet(const packet& p) {
    if (p.what == packet::kind::connack) return connected(p.reason);
    if (p.what == packet::kind::suback && p.reason >= 0x80) give_up(name() + ": a subscription was refused");
    if (p.to_acknowledge) send(puback_packet(*p.to_acknowledge));
    if (p.what != packet::kind::publish) return;
    if (p.topic.starts_with(answer_prefix)) {
      std::uint64_t id = 0;
      std::from_chars(p.topic.data() + answer_prefix.size(), p.topic.data() + p.topic.size(), id);
      fleet_.answered(id, p.payload);
    } else if (p.topic.starts_with(attributes_answer)) {
      ++fleet_.served_;
    }
  }
  void connected(int reason) {
    if (reason != 0) give_up(name() + ": the broker refused it, reason " + std::to_string(reason));
    std::string out;
    for (std::uint16_t i = 0; i < std::size(filters); ++i)
      out += subscribe_packet(fleet_.version_, i + 1, filters[i], 0);
    const auto report = R"({"systemInfo":)" + std::string(system_info) + R"(,"deploymentStatus":)" +
                        std::string(deployment_status) + "}";
    append_publish(out, fleet_.version_, "v1/devices/me/attributes", report);
    append_publish(out, fleet_.version_, "v1/devices/me/attributes/request/10000", "{}");
    send(out);
  }

  fleet& fleet_;
  identity who_;
};

fleet::fleet(loop& l, std::uint16_t port, mqtt_version v, std::string storage)
    : loop_(l), ports_{port}, version_(v), storage_(std::move(storage)) {}
fleet::~fleet() = default;

void fleet::connect(const std::vector<identity>& all, std::size_t at_once, const std::function<void()>& halfway) {
  progress shown("connecting", all.size());
  const auto before = served_;
  for (const auto& who : all) {
    devices_.push_back(std::make_unique<device>(*this, who));
    const auto begun = std::size_t(&who - all.data()) + 1;
    const bool in_time = loop_.run_until([&] { return served_ - before + at_once > begun; }, connect_limit);
    if (!in_time) give_up("the broker or the backend does not serve devices that connect");
    shown.at(served_ - before);
  }
  if (halfway) {
    loop_.run_until([&] { return 2 * (served_ - before) >= all.size(); }, connect_limit);
    halfway();
  }
  if (!loop_.run_until([&] { return served_ - before == all.size(); }, connect_limit))
    give_up("the broker or the backend does not serve devices that connect");
}

void fleet::disconnect() {
  devices_.clear();
  next_device_ = 0;
}

void fleet::ask(clock::time_point due) {
  const auto id = std::to_string(next_id_++);
  std::string body = R"({"method":"evp-d2c","params":{"storagetoken-request":{"reqid":")" + id +
                     R"(","filename":"2026/11/23/picture-)" + id + R"(.jpg","moduleInstanceId":"camera","key":")" +
                     storage_ +
                     R"(","size":"10240","accept":["certificate/1","report/1","plan/1","sha256/1","offline/1"]}}})";
  std::string out;
  append_publish(out, version_, "v1/devices/me/rpc/request/" + id, body);
  waiting_.push_back(due);
  ++now_.asked;
  devices_[next_device_]->send(out);
  next_device_ = (next_device_ + 1) % devices_.size();
}

void fleet::answered(std::uint64_t id, std::string_view payload) {
  if (id < first_ || id - first_ >= waiting_.size() || waiting_[id - first_] == no_time) return;
  auto& due = waiting_[id - first_];
  last_answer_ = clock::now();
  const bool ok = payload.find(R"("reqid":")" + std::to_string(id) + '"') != payload.npos &&
                  payload.find(R"("status":"ok")") != payload.npos;
  if (!ok && now_.refused++ == 0) now_.first_refusal = payload.substr(0, 400);
  if (ok) now_.latencies.push_back(std::chrono::duration<float, std::milli>(last_answer_ - due).count());
  now_.answer_bytes = payload.size();
  ++now_.answered;
  due = no_time;
  for (; !waiting_.empty() && waiting_.front() == no_time; waiting_.pop_front()) ++first_;
}

/// Waits for what is missing, as long as a device would.
load_report fleet::finish() {
  loop_.run_until([&] { return waiting_.empty(); }, answer_limit);
  first_ = next_id_;
  waiting_.clear();
  now_.seconds = std::chrono::duration<double>(last_answer_ - began_).count();
  std::sort(now_.latencies.begin(), now_.latencies.end());
  return std::exchange(now_, {});
}

void fleet::keep_alive() {
  if (clock::now() - pinged_ < std::chrono::seconds(keepalive_s) / 2) return;
  pinged_ = clock::now();
  for (auto& d : devices_) d->send(ping_packet);
}

void fleet::ask_one() {
  if (now_.asked == 0) began_ = last_answer_ = clock::now();
  if (waiting_.size() < max_waiting) ask(clock::now());
}

load_report fleet::ask_closed(std::size_t outstanding, std::chrono::milliseconds time) {
  keep_alive();
  began_ = last_answer_ = clock::now();
  const auto end = began_ + time;
  while (clock::now() < end) {
    while (now_.asked - now_.answered < outstanding) ask(clock::now());
    loop_.run_once(std::chrono::milliseconds(10));
  }
  return finish();
}

load_report fleet::ask_alone(std::size_t count) {
  keep_alive();
  began_ = last_answer_ = clock::now();
  next_device_ = 0;
  for (std::size_t i = 0; i < count; ++i) {
    next_device_ = 0;
    ask(clock::now());
    if (!loop_.run_until([&] { return waiting_.empty(); }, answer_limit)) break;
  }
  return finish();
}

load_report fleet::ask_open(double per_second, std::chrono::milliseconds time) {
  keep_alive();
  began_ = last_answer_ = clock::now();
  const auto end = began_ + time;
  const std::chrono::duration<double> gap(1 / per_second);
  const auto due = [&](std::size_t i) { return began_ + std::chrono::duration_cast<clock::duration>(gap * double(i)); };
  for (auto now = clock::now(); now < end; now = clock::now()) {
    while (due(now_.asked) <= now && waiting_.size() < max_waiting) ask(due(now_.asked));
    loop_.run_once(due(now_.asked) - clock::now());
  }
  return finish();
}

}  // namespace evp::bench
