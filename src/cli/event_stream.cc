#include "cli/event_stream.h"

namespace evp::cli {

void event_stream::feed(std::string_view bytes) {
  for (auto end = bytes.find('\n'); end != bytes.npos; end = bytes.find('\n')) {
    line_.append(bytes.substr(0, end));
    on_line(line_);
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
  if (line_.size() < max_line_bytes) line_.append(bytes.substr(0, max_line_bytes - line_.size()));
}

void event_stream::on_line(std::string_view line) {
  if (line.empty()) {
    last_id_ = id_;  // not before: an event that was cut must come again
    if (!data_.empty()) on_event_(name_, data_);
    name_.clear();
    data_.clear();
    return;
  }
  const auto colon = line.find(':');
  const auto field = line.substr(0, colon);
  auto value = colon == line.npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "id") id_ = value;
  if (field == "event") name_ = value;
  if (field == "data") data_.append(data_.empty() ? "" : "\n").append(value);
}

}  // namespace evp::cli
