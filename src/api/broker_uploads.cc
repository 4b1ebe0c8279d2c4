// Tells a broker of finished uploads: evp/uploads/<device>/<grant id>, at least once, in order. Each broker has a
// position of its own: one that is away misses nothing, and holds up no other.
#include <spdlog/spdlog.h>

#include "api/broker_link.h"
#include "api/upload_json.h"

namespace evp::api {
namespace {

constexpr milliseconds try_again{1'000};
constexpr milliseconds idle{3'600'000};
constexpr milliseconds gather_for{100};  // so that many uploads are one commit of the position

std::string reader_of(const std::string& broker) { return broker.empty() ? "mqtt" : "mqtt:" + broker; }

}  // namespace

// A position in the sequence is all it remembers: it goes on from there after a restart, and says again what was under
// way.
io::task<void> broker_link::tell_uploads() {
  auto& changed = backend_.ledger.changed();
  const auto position = std::make_shared<std::optional<std::uint64_t>>();
  for (bool over = false; !over && !changed.closed();) {
    const auto seen = changed.count();
    if (!backend_.leads()) {  // another backend tells them; where it has stopped is in the database
      position->reset();
      co_await changed.wait(seen, try_again);
      over = co_await io::is_cancelled();
      continue;
    }
    const auto more = co_await tell_next_uploads(position);
    if (!more) {
      if (ready_) spdlog::warn("finished uploads cannot be published at {}: {}", called_, more.error().message());
      co_await io::sleep_for(try_again);
    } else if (!*more) {
      co_await changed.wait(seen, idle);
      co_await io::sleep_for(gather_for);
    }
    over = co_await io::is_cancelled();
  }
}

io::task<result<bool>> broker_link::tell_next_uploads(std::shared_ptr<std::optional<std::uint64_t>> position) {
  if (!*position) { CO_TRY(*position, co_await backend_.ledger.reader(reader_of(name_))); }
  backend::upload_filter all;
  all.all_tenants = true;  // the topics are the operator's
  CO_TRY(const auto found, co_await backend_.ledger.events(std::move(all), **position));
  if (found.position == **position) co_return false;
  if (!ready_) co_return fail(errc::unavailable, "there is no session at the broker");
  std::vector<std::pair<std::string, std::string>> messages;
  for (const auto& e : found.events) {
    if (e.what.is_get || !backend::is_finished(e.what.state, e.what.verify)) continue;
    messages.emplace_back(std::string(mqtt::control::uploads_prefix) + e.what.device + "/" + e.what.grant_id,
                          json::serialize(write_event(e)));
  }
  // The broker acknowledges in order (MQTT 3.1.1, 4.6): who has the last acknowledgement has them all.
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto& [topic, payload] = messages[i];
    if (i + 1 < messages.size())
      CO_CHECK(client_->publish(topic, payload, 1));
    else
      CO_CHECK(co_await client_->publish_acknowledged(std::move(topic), std::move(payload)));
  }
  if (!messages.empty()) CO_CHECK(co_await backend_.ledger.move_reader(reader_of(name_), found.position));
  *position = found.position;
  co_return found.more;
}

}  // namespace evp::api
