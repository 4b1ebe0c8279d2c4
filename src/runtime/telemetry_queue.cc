// Telemetry on its way to the broker.
#include "runtime/telemetry_queue.h"

#include <boost/asio/post.hpp>

namespace evp::runtime {

telemetry_queue::telemetry_queue(io::executor ex, const io::clock& clock, telemetry_bounds bounds, publisher publish)
    : ex_(ex), clock_(clock), bounds_(bounds), publish_(std::move(publish)), timer_(ex) {}

result<void> telemetry_queue::push(std::string payload, std::function<void(bool)> sent) {
  if (waiting_.size() >= bounds_.max_messages || bytes_ + payload.size() > bounds_.max_bytes)
    return fail(errc::rate_limited, "too much telemetry waits for the hub: send it later");
  bytes_ += payload.size();
  waiting_.push_back({std::move(payload), std::move(sent), clock_.steady() + bounds_.max_wait});
  flush();
  return {};
}

void telemetry_queue::flush() {
  drop_expired();
  bool retry = false;
  while (!waiting_.empty()) {
    const auto sent = publish_(waiting_.front().payload);
    if (sent) {
      end_front(true);
    } else if (is_temporary(sent.error().code())) {
      retry = sent.error().code() == errc::rate_limited;
      break;
    } else {
      end_front(false);
    }
  }
  schedule(retry);
}

void telemetry_queue::close() {
  timer_.cancel();
  while (!waiting_.empty()) end_front(false);
}

void telemetry_queue::drop_expired() {
  while (!waiting_.empty() && waiting_.front().expires <= clock_.steady()) end_front(false);
}

void telemetry_queue::end_front(bool sent) {
  entry e = std::move(waiting_.front());
  waiting_.pop_front();
  bytes_ -= e.payload.size();
  if (e.sent) boost::asio::post(ex_, [done = std::move(e.sent), sent] { done(sent); });
}

void telemetry_queue::schedule(bool retry) {
  timer_.cancel();
  if (waiting_.empty()) return;
  std::chrono::nanoseconds wait = waiting_.front().expires - clock_.steady();
  if (retry) wait = std::min<std::chrono::nanoseconds>(wait, bounds_.retry);
  timer_.expires_after(wait);
  timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped) flush();
  });
}

}  // namespace evp::runtime
