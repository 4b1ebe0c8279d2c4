// How a daemon's log reads: lines for people, or one JSON object a line.
#pragma once

#include <spdlog/formatter.h>

#include <memory>
#include <string>
#include <string_view>

namespace evp::apps {

enum class log_format {
  text,  ///< 2026-11-23T12:00:00.000Z info the message
  json,  ///< {"time":"2026-11-23T12:00:00.000Z","level":"info","program":"evp-backend","message":"the message"}
};

/// The formatter that writes so; in UTC. Each message is one line, whatever is in it.
std::unique_ptr<spdlog::formatter> make_log_formatter(log_format f, std::string program);

}  // namespace evp::apps
