#include "backend/commands.h"

#include <fmt/format.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/crypto.h"
#include "base/names.h"

namespace evp::backend {
namespace {

constexpr milliseconds min_time_limit{100};
constexpr std::size_t max_method_bytes = 128;

/// Agents suppress request ids that they saw lately, so a restart must not begin at 1 again.
std::uint64_t first_id() {
  std::uint64_t n = 1;
  for (const unsigned char c : random_bytes(5)) n = n << 8 | c;
  return n;
}

}  // namespace

struct commands::waiting {
  waiting(const io::executor& ex, milliseconds limit) : over(ex, limit) {}
  std::optional<wire::command_response> answer;
  io::asio::steady_timer over;
};

commands::commands(io::executor ex, sql::database& db, const io::clock& clock, devices& d, states& s)
    : ex_(std::move(ex)), db_(db), clock_(clock), devices_(d), states_(s), next_id_(first_id()) {}
commands::~commands() = default;

io::task<result<wire::command_response>> commands::call(command c, origin by) {
  CO_TRY(const auto device, devices_.get(c.device));
  if (device.blocked) co_return fail(errc::failed_precondition, "the device is blocked: unblock it first");
  // "$agent" is the device's own agent.
  if (c.instance != "$agent") {
    auto ok = check_name(c.instance, "an instance name");
    if (!ok) co_return fail(std::move(std::move(ok).error()).at("instance"));
  }
  if (c.method.size() > max_method_bytes)
    co_return fail(errc::invalid_argument, "method",
                   fmt::format("method must have at most {} bytes", max_method_bytes));
  if (auto ok = check_object_name(c.method); !ok) co_return fail(std::move(std::move(ok).error()).at("method"));
  if (c.params.size() > max_params_bytes)
    co_return fail(errc::too_large, "params", fmt::format("params must have at most {} bytes", max_params_bytes));
  if (c.time_limit < min_time_limit || c.time_limit > max_time_limit)
    co_return fail(errc::invalid_argument, "timeLimit",
                   fmt::format("the time limit must be {} to {}", format_iso8601_duration(min_time_limit),
                               format_iso8601_duration(max_time_limit)));
  if (!gateway_ || !states_.online(c.device)) co_return fail(errc::unavailable, "the device is not connected");
  const auto first = waiting_.lower_bound({c.device, ""});
  std::size_t of_device = 0;
  for (auto at = first; at != waiting_.end() && at->first.first == c.device; ++at) ++of_device;
  if (of_device >= max_pending_per_device || waiting_.size() >= max_pending)
    co_return fail(
        error(errc::rate_limited, "too many commands of this device wait for an answer").after(milliseconds(1000)));

  wire::command_request request;
  request.reqid = std::to_string(next_id_++);
  request.instance = c.instance;
  request.method = c.method;
  request.params = c.params.empty() ? "{}" : c.params;
  const auto key = std::pair(c.device, request.reqid);
  auto w = std::make_shared<waiting>(ex_, c.time_limit);
  waiting_[key] = w;
  const auto dialect = states_.dialect_of(c.device);
  std::function<result<void>(sql::connection&)> note =
      [note = done_now(clock_, by, action::command_send, kind::command, c.device + "/" + c.instance + "/" + c.method)](
          sql::connection& db) -> result<void> {
    db.note(note);
    return {};
  };
  auto sent = co_await db_.run<void>(std::move(note));
  if (sent) sent = co_await gateway_->send_command(c.device, dialect, std::move(request));
  if (sent && !w->answer) {
    boost::system::error_code ec;
    auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
    co_await w->over.async_wait(token);
  }
  waiting_.erase(key);
  if (!sent) co_return fail(sent.error());
  if (w->answer) co_return *std::move(w->answer);
  co_return fail(
      errc::deadline_exceeded,
      fmt::format(
          "the device did not answer within {}: agents are silent where the instance does not exist or has ended",
          format_iso8601_duration(c.time_limit)));
}

bool commands::answer(const std::string& device, wire::command_response r) {
  const auto found = waiting_.find({device, r.reqid});
  if (found == waiting_.end() || found->second->answer) return false;
  found->second->answer = std::move(r);
  found->second->over.cancel();
  return true;
}

std::size_t commands::pending() const noexcept { return waiting_.size(); }

}  // namespace evp::backend
