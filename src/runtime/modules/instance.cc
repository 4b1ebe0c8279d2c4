// The life cycle of an instance's process.
#include "runtime/modules/instance.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <csignal>

namespace evp::runtime {

instance::instance(io::executor ex, const instances_options& o, std::string file, instance_place place,
                   socket::session_ports ports, std::function<void()> changed)
    : ex_(ex),
      options_(o),
      file_(std::move(file)),
      place_(std::move(place)),
      ports_(std::move(ports)),
      changed_(std::move(changed)),
      timer_(ex) {
  start();
}

instance::~instance() {
  *alive_ = false;
  process_.reset();
  end_life();
}

result<void> instance::try_start() {
  TRY(auto files,
      socket::workspace::open(place_.workspace, options_.separate_users ? std::optional(place_.user) : std::nullopt));
  session_ = std::make_shared<socket::session>(ports_, std::move(files));
  TRY(server_, socket::socket_server::listen(ex_, place_.socket, place_.user, session_));
  TRY(auto l, launch(options_, file_, place_));
  spdlog::info("instance {}: started, pid {}", ports_.instance, l.pid);
  process_ = process::watch(ex_, ports_.instance, place_.user, std::move(l),
                            [this](std::string how, bool clean) { ended(std::move(how), clean); });
  started_ = std::chrono::steady_clock::now();
  return {};
}

void instance::start() {
  const auto r = try_start();
  if (r) {
    failure_.clear();
  } else {
    end_life();
    retry(r.error().message());
  }
}

void instance::ended(std::string how, bool) {
  const bool healthy = std::chrono::steady_clock::now() - started_ >= options_.healthy_after;
  if (healthy) backoff_ = milliseconds(0);
  // The handler runs inside the process object: it goes on the next turn.
  asio::post(ex_, [alive = alive_, this, how = std::move(how)] {
    if (!*alive) return;
    process_.reset();
    end_life();
    timer_.cancel();
    if (!stopping_) return retry("the module ended with " + how);
    if (const auto gone = std::exchange(gone_, nullptr)) gone();  // may destroy this
  });
}

void instance::end_life() {
  if (session_) session_->end();
  server_.reset();
  session_.reset();
}

void instance::retry(std::string why) {
  backoff_ = backoff_.count() == 0 ? options_.backoff_first : std::min(backoff_ * 2, options_.backoff_max);
  failure_ = std::move(why);
  spdlog::warn("instance {}: {}; starting again in {} ms", ports_.instance, failure_, backoff_.count());
  timer_.expires_after(backoff_);
  timer_.async_wait([alive = alive_, this](boost::system::error_code ec) {
    if (ec || !*alive || stopping_ || process_) return;
    start();
    changed_();
  });
  // From the constructor nobody could be told yet.
  asio::post(ex_, [alive = alive_, this] {
    if (*alive) changed_();
  });
}

void instance::stop(std::function<void()> gone) {
  stopping_ = true;
  gone_ = std::move(gone);
  timer_.cancel();
  if (!process_) {
    asio::post(ex_, [alive = alive_, this] {
      if (*alive && gone_) std::exchange(gone_, nullptr)();
    });
    return;
  }
  const bool connected = server_ && server_->connected();
  session_->exit();
  if (!connected) process_->signal(SIGTERM);
  timer_.expires_after(options_.stop_grace);
  timer_.async_wait([alive = alive_, this](boost::system::error_code ec) {
    if (!ec && *alive && process_) process_->signal(SIGKILL);
  });
}

instance_status instance::status() const {
  instance_status s;
  s.status = stopping_ ? "self-exiting" : failure_.empty() ? "ok" : "error";
  s.failure_message = stopping_ ? "" : failure_;
  return s;
}

}  // namespace evp::runtime
