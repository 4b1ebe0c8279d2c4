// For tests: a source of credentials that answers what the test says, when the test says.
#pragma once

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>

#include "auth/credentials/credential_cache.h"

namespace evp::auth {

/// What the test steers and counts; it outlives the source.
struct issuer {
  std::optional<error> failure;  ///< of every fetch while set
  milliseconds life{3'600'000};  ///< of what is issued
  bool holds = false;            ///< answers wait for release()
  int fetches = 0, cancelled = 0;
  std::deque<std::shared_ptr<io::asio::steady_timer>> waiting;

  void release() {
    holds = false;
    for (auto& w : waiting) w->cancel();
    waiting.clear();
  }
};

class scripted_source final : public credential_source<std::string> {
 public:
  scripted_source(issuer& i, const io::clock& clock) : issuer_(i), clock_(clock) {}
  io::task<result<expiring<std::string>>> fetch() override {
    const auto mine = "credential " + std::to_string(++issuer_.fetches);
    if (issuer_.holds) {
      const auto gate =
          std::make_shared<io::asio::steady_timer>(co_await io::asio::this_coro::executor, steady_time::max());
      issuer_.waiting.push_back(gate);
      boost::system::error_code ec;
      auto token = io::asio::redirect_error(io::asio::use_awaitable, ec);
      co_await gate->async_wait(token);
      const auto state = co_await io::asio::this_coro::cancellation_state;
      if (state.cancelled() != io::asio::cancellation_type::none) {
        ++issuer_.cancelled;
        co_return fail(errc::cancelled, "cancelled");
      }
    }
    if (issuer_.failure) co_return fail(*issuer_.failure);
    expiring<std::string> out{mine, clock_.now() + issuer_.life};
    co_return out;
  }

 private:
  issuer& issuer_;
  const io::clock& clock_;
};

}  // namespace evp::auth
