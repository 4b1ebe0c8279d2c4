// Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as ours go.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace evp::cli {

/// Takes the stream's bytes as they come and calls back with each event.
class event_stream {
 public:
  /// `name` is empty where the event has none; a line longer than max_line_bytes is cut.
  using callback = std::function<void(std::string_view name, std::string_view data)>;
  static constexpr std::size_t max_line_bytes = 1 << 20;

  explicit event_stream(callback c) : on_event_(std::move(c)) {}
  void feed(std::string_view bytes);
  /// The id to come back with; empty: none was told yet.
  const std::string& last_id() const noexcept { return last_id_; }

 private:
  void on_line(std::string_view line);
  callback on_event_;
  std::string line_, name_, data_, id_, last_id_;
};

}  // namespace evp::cli
