// What devices publish: decode, call, encode; decide nothing.
#include "api/device_messages.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace evp::api {
namespace {

// The public agent gives up after 5 s; one that is told "no" at once does better than one that waits.
constexpr milliseconds overload_retry{2'000};

/// The form in which a request asks decides the form of the answer, also of a request that cannot be read.
wire::dialect guess_dialect(std::string_view payload, wire::dialect known) {
  if (payload.find("\"StorageToken\"") != payload.npos) return wire::dialect::evp1;
  if (payload.find("\"evp-d2c\"") != payload.npos) return wire::dialect::evp2;
  return known;
}

template <class T>
wire::hub_response failed(const std::string& reqid, error e) {
  T out;
  out.reqid = reqid;
  out.failure = std::move(e);
  return out;
}

wire::hub_response failure_for(const wire::device_request& r, error e) {
  if (std::holds_alternative<wire::certificate_request>(r))
    return failed<wire::certificate_response>(wire::reqid_of(r), std::move(e));
  if (std::holds_alternative<wire::transfer_report>(r))
    return failed<wire::transfer_report_response>(wire::reqid_of(r), std::move(e));
  if (std::holds_alternative<wire::grant_renew_request>(r))
    return failed<wire::grant_renew_response>(wire::reqid_of(r), std::move(e));
  return failed<wire::storage_token_response>(wire::reqid_of(r), std::move(e));
}

}  // namespace

device_messages::device_messages(io::executor ex, backend::backend& b, metrics& m)
    : backend_(b), metrics_(m), under_way_(ex) {}

io::task<void> device_messages::finish(milliseconds at_most) {
  constexpr milliseconds look{10};
  bool on = true;
  for (milliseconds waited{0}; on && under_way() > 0 && waited < at_most; waited += look)
    on = co_await io::sleep_for(look);
}

io::task<void> device_messages::stop() { co_await under_way_.stop(); }

void device_messages::refuse(const std::string& device, std::string_view reason, const error& e) {
  metrics_.on_refused_message(reason);
  spdlog::debug("device {}: message refused ({}): {}", device, reason, e.message());
}

void device_messages::spread_return(wire::hub_response& r) {
  std::visit(
      [this](auto& answer) {
        if (!answer.failure || !answer.failure->retry_after()) return;
        const auto wanted = *answer.failure->retry_after();
        const auto most = std::clamp(wanted, milliseconds(0), std::max(max_spread, wanted / 100));
        std::uniform_int_distribution<milliseconds::rep> more(0, most.count());
        (void)std::move(*answer.failure).after(wanted + milliseconds(more(random_)));
      },
      r);
}

void device_messages::respond(const std::string& device, const std::string& id, wire::dialect d, wire::hub_response r,
                              const to_device& back) {
  spread_return(r);
  const auto topic = wire::to_string(wire::topic(wire::rpc_response{id}));
  const auto sent = back(device, topic, wire::encode(d, r));
  if (!sent) spdlog::warn("device {}: an answer could not be sent: {}", device, sent.error().message());
}

void device_messages::on_message(const std::string& device, std::string_view topic, std::string payload,
                                 const to_device& back) {
  // A device that was removed or blocked a moment ago may still have messages on their way.
  if (auto ok = backend_.devices.check_active(device); !ok) return refuse(device, "not_active", ok.error());
  auto where = wire::parse_topic(topic);
  if (!where) return refuse(device, "unknown_topic", where.error());

  if (std::holds_alternative<wire::attributes>(*where)) {
    auto a = wire::decode_client_attributes(backend_.states.dialect_of(device), payload);
    if (!a) return refuse(device, "decode", a.error());
    backend_.states.on_message(device, a->protocol);
    backend_.states.on_attributes(device, std::move(*a));
  } else if (std::holds_alternative<wire::telemetry>(*where)) {
    auto t = wire::decode_telemetry(payload);
    if (!t) return refuse(device, "decode", t.error());
    backend_.states.on_message(device, std::nullopt);
    backend_.states.on_telemetry(device, std::move(*t));
  } else if (const auto* get = std::get_if<wire::attributes_request>(&*where)) {
    backend_.states.on_message(device, std::nullopt);
    if (under_way_.size() >= max_under_way) return refuse(device, "overload", error(errc::rate_limited, "too many"));
    under_way_.spawn(answer_attributes(device, get->id, &back));  // an agent asks again every 5 s until it is answered
  } else if (const auto* request = std::get_if<wire::rpc_request>(&*where)) {
    on_request(device, request->id, payload, back);
  } else if (const auto* response = std::get_if<wire::rpc_response>(&*where)) {
    auto answer = wire::decode_command_response(response->id, payload);
    if (!answer) return refuse(device, "decode", answer.error());
    backend_.states.on_message(device, std::nullopt);
    backend_.commands.answer(device, std::move(*answer));
  } else {
    refuse(device, "unknown_topic", error(errc::invalid_argument, "a topic of the hub"));
  }
}

void device_messages::on_request(const std::string& device, const std::string& id, std::string_view payload,
                                 const to_device& back) {
  auto request = wire::decode_device_request(id, payload);
  if (!request) {
    const auto d = guess_dialect(payload, backend_.states.dialect_of(device));
    refuse(device, "decode", request.error());
    return respond(device, id, d, failed<wire::storage_token_response>(id, std::move(request).error()), back);
  }
  auto& [d, r] = *request;
  backend_.states.on_message(device, d);
  if (under_way_.size() >= max_under_way) {
    auto full = error(errc::rate_limited, "the backend is overloaded: try again later").after(overload_retry);
    refuse(device, "overload", full);
    return respond(device, id, d, failure_for(r, std::move(full)), back);
  }
  under_way_.spawn(answer_request(device, id, d, std::move(r), &back));
}

io::task<void> device_messages::answer_request(std::string device, std::string id, wire::dialect d,
                                               wire::device_request r, const to_device* back) {
  wire::hub_response out;
  if (auto* token = std::get_if<wire::storage_token_request>(&r)) {
    auto answer = co_await backend_.grants.issue(device, std::move(*token), d);
    out = std::move(answer);
  } else if (auto* report = std::get_if<wire::transfer_report>(&r)) {
    auto answer = co_await backend_.grants.report(device, std::move(*report));
    out = std::move(answer);
  } else if (auto* renewal = std::get_if<wire::grant_renew_request>(&r)) {
    auto answer = co_await backend_.grants.renew(device, std::move(*renewal));
    out = std::move(answer);
  } else {
    out = backend_.grants.certificate(device, std::get<wire::certificate_request>(r));
  }
  respond(device, id, d, std::move(out), *back);
}

io::task<void> device_messages::answer_attributes(std::string device, std::string id, const to_device* back) {
  const auto all = co_await backend_.deployments.shared(device);
  if (!all) {
    spdlog::warn("device {}: its deployment could not be read: {}", device, all.error().message());
    co_return;
  }
  const auto topic = wire::to_string(wire::topic(wire::attributes_response{id}));
  const auto sent = (*back)(device, topic, wire::encode_attributes_response(backend_.states.dialect_of(device), *all));
  if (!sent) spdlog::warn("device {}: its deployment could not be sent: {}", device, sent.error().message());
}

}  // namespace evp::api
