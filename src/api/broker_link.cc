#include "api/broker_link.h"

#include <spdlog/spdlog.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <span>

#include "backend/revocations.h"
#include "base/encoding.h"

namespace evp::api {
namespace {

namespace control = mqtt::control;

constexpr std::string_view presence_filter = "evp/presence/+";
constexpr std::string_view single_filters[] = {"evp/devices/#"};
// Replicas share the requests: any of them answers. What devices tell of themselves all keep in memory, and the answer
// to a command belongs to the one that has sent it.
constexpr std::string_view replica_filters[] = {
    "$share/evp-backend/evp/devices/+/rpc/request/+", "$share/evp-backend/evp/devices/+/attributes/request/+",
    "evp/devices/+/attributes", "evp/devices/+/telemetry", "evp/devices/+/rpc/response/+"};
std::span<const std::string_view> filters(const backend::backend& b) {
  if (b.database.is_shared()) return replica_filters;
  return single_filters;
}

constexpr milliseconds tell_again{1'000};
constexpr std::size_t devices_in_batch = 1'000;  // about one message

}  // namespace

result<control::command> as_command(const backend::device_credentials& d) {
  TRY(auto digest, from_hex(d.token_sha256));
  return control::set_device{.id = d.id, .token_sha256 = std::move(digest), .blocked = d.blocked};
}

// One batch on its way: the timer is its bound and, cancelled, its wake-up.
struct broker_link::waiting {
  explicit waiting(io::executor ex) : timer(ex) {}
  io::asio::steady_timer timer;
  std::optional<result<void>> outcome;
};

class broker_link::change {
 public:
  std::uint64_t first = 0;
  std::vector<std::shared_ptr<waiting>> batches;
  result<void> sent;
};

broker_link::broker_link(io::executor ex, backend::backend& b, std::string name, mqtt::options options)
    : ex_(ex),
      backend_(b),
      name_(std::move(name)),
      called_(name_.empty() ? "the broker" : "the broker " + name_),
      tasks_(ex) {
  mqtt::callbacks calls;
  calls.on_connected = [this] { on_connected(); };
  calls.on_disconnected = [this](const error& why) { on_disconnected(why); };
  calls.on_message = [this](mqtt::message msg) { receive(std::move(msg)); };
  client_ = std::make_unique<mqtt::client>(ex, std::move(options), std::move(calls));
  client_->subscribe(std::string(presence_filter), 1);
  for (const auto filter : filters(b)) client_->subscribe(std::string(filter), 1);
}

broker_link::~broker_link() = default;

void broker_link::start() {
  client_->start();
  tasks_.spawn(tell_uploads());
}

// The broker acknowledges a batch behind all that it has sent before, and sends nothing more for a filter that is gone.
std::shared_ptr<broker_link::change> broker_link::stop_listening() {
  for (const auto filter : filters(backend_)) client_->unsubscribe(std::string(filter));
  std::vector<control::command> nothing_new;
  nothing_new.emplace_back(control::set_observer{observer_token_sha256});
  return begin(std::move(nothing_new));
}

io::task<void> broker_link::stop(milliseconds grace) {
  ready_ = false;
  co_await tasks_.stop();
  co_await client_->stop(grace);
}

void broker_link::on_connected() {
  connected_ = true;
  ++session_;
  repeat_all();
}

void broker_link::on_disconnected(const error& why) {
  if (ready_) spdlog::warn("{}: the session ended: {}", called_, why.message());
  ready_ = false;
  ++session_;
  for (auto& [number, w] : waiting_) {
    w->outcome = fail(errc::unavailable, called_ + ": the session ended");
    w->timer.cancel();
  }
  if (std::exchange(connected_, false) && on_lost) on_lost();
}

void broker_link::receive(mqtt::message m) {
  if (m.topic != control::ack_topic) {
    if (on_message) on_message(std::move(m));
    return;
  }
  const auto ack = control::decode_acknowledgement(m.payload);
  const auto found = ack ? waiting_.find(ack->number) : waiting_.end();
  if (found == waiting_.end()) return;
  found->second->outcome =
      ack->problem.empty() ? result<void>() : fail(errc::unavailable, called_ + ": " + ack->problem);
  found->second->timer.cancel();
}

// One at a time: a list that begins while another is being told would end with what only one of them has.
void broker_link::repeat_all() {
  repeat_ = true;
  if (!std::exchange(telling_, true)) tasks_.spawn(tell_all());
}

// The whole list, so that the broker also forgets devices that were removed while it or we were away.
io::task<void> broker_link::tell_all() {
  for (bool on = true; on && repeat_ && connected_;) {
    const auto session = session_;
    repeat_ = false;
    const auto told = co_await tell_devices(session);
    if (session != session_) continue;
    if (told) {
      if (!ready_) spdlog::info("{} knows {} devices", called_, backend_.devices.count().devices);
      ready_ = true;
      continue;
    }
    spdlog::warn("{}: could not be told the devices: {}", called_, told.error().message());
    repeat_ = true;
    on = co_await io::sleep_for(tell_again);
  }
  telling_ = false;
}

// Batch by batch: what waits for the broker is bounded, however many devices there are. A change meanwhile tells
// itself.
io::task<result<void>> broker_link::tell_devices(std::uint64_t session) {
  std::vector<control::command> commands;
  commands.emplace_back(control::set_observer{observer_token_sha256});
  commands.emplace_back(control::replace_begin{});
  // First who must not come in, for a broker that knows nobody yet.
  std::string after;
  for (bool more = true; more;) {
    const auto some = backend_.revocations.all(after, devices_in_batch);
    more = some.size() == devices_in_batch;
    for (const auto& id : some) commands.emplace_back(control::revoke_certificate{id});
    if (!more) break;
    after = some.back();
    auto batch = begin(std::exchange(commands, {}));
    CO_CHECK(co_await acknowledged(std::move(batch)));
    if (session != session_) co_return fail(errc::unavailable, "the session ended");
  }
  after.clear();
  for (bool more = true; more;) {
    const auto some = backend_.devices.all_credentials(after, devices_in_batch);
    more = some.size() == devices_in_batch;
    for (const auto& d : some) {
      auto c = as_command(d);
      if (c)
        commands.push_back(std::move(*c));
      else
        spdlog::error("device {}: its token's digest in the database is damaged; it cannot connect", d.id);
    }
    if (more)
      after = some.back().id;
    else
      commands.emplace_back(control::replace_end{});
    if (session != session_) co_return fail(errc::unavailable, "the session ended");
    auto batch = begin(std::exchange(commands, {}));
    CO_CHECK(co_await acknowledged(std::move(batch)));
  }
  co_return result<void>();
}

std::shared_ptr<broker_link::change> broker_link::begin(std::vector<control::command> commands) {
  auto out = std::make_shared<change>();
  if (waiting_.size() >= max_waiting) {
    out->sent = fail(errc::unavailable, called_ + " does not keep up");
    return out;
  }
  const auto texts = control::encode_all(next_batch_, commands);
  out->first = std::exchange(next_batch_, next_batch_ + texts.size());
  for (std::size_t i = 0; i < texts.size() && out->sent; ++i) {
    auto w = std::make_shared<waiting>(ex_);
    w->timer.expires_after(control_timeout);
    waiting_.emplace(out->first + i, w);
    out->batches.push_back(std::move(w));
    out->sent = client_->publish(control::topic, texts[i], 1);
    if (!out->sent) out->sent = fail(std::move(std::move(out->sent).error()).during(called_));
  }
  return out;
}

io::task<result<void>> broker_link::acknowledged(std::shared_ptr<change> c) {
  auto outcome = c->sent;
  for (const auto& w : c->batches) {
    if (!outcome) break;
    boost::system::error_code ec;
    const bool answered_already = w->outcome.has_value();
    if (!answered_already) co_await w->timer.async_wait(io::asio::redirect_error(io::asio::use_awaitable, ec));
    if (w->outcome)
      outcome = *w->outcome;
    else
      outcome = fail(errc::unavailable, called_ + " did not confirm in time: is its plugin loaded?");
  }
  for (std::size_t i = 0; i < c->batches.size(); ++i) waiting_.erase(c->first + i);
  co_return outcome;
}

io::task<result<void>> broker_link::settle(std::shared_ptr<change> c) {
  auto outcome = co_await acknowledged(std::move(c));
  if (!outcome) repeat_all();
  co_return outcome;
}

result<void> broker_link::send(const std::string& device, std::string_view topic, std::string_view payload) {
  std::string where(control::downstream_prefix);
  where += device;
  where += '/';
  where += topic;
  return client_->publish(where, payload, 0);
}

}  // namespace evp::api
