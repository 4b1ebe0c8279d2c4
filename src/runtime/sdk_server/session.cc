// What the requests of a module do.
#include "runtime/sdk_server/session.h"

#include <cerrno>

#include "base/encoding.h"
#include "runtime/sdk_server/legacy_blob_types.h"
#include "wire/json_text.h"

namespace evp::runtime::socket {
namespace {

// The callback reasons of include/evp/sdk_types.h.
enum : std::uint32_t { reason_sent = 0, reason_error = 1, reason_overwritten = 1, reason_exit = 2, reason_denied = 3 };
enum : std::uint32_t { blob_done = 0, blob_exit = 1 };
constexpr std::size_t max_topic_bytes = 256;
constexpr std::size_t max_headers = 100;
constexpr std::size_t max_name_bytes = 1024;  // the longest that a storage takes
// What an event may carry, so that with its tables it fits a frame.
constexpr std::size_t max_event_bytes = max_message_bytes - 512;

bool is_topic(const std::string& t) {
  return !t.empty() && t.size() <= max_topic_bytes && t.front() != '/' && is_utf8(t) && !has_control_characters(t);
}

std::size_t size_of(const event& e) {
  if (const auto* c = std::get_if<configuration_event>(&e)) return c->topic.size() + c->bytes.size();
  if (const auto* m = std::get_if<message_event>(&e)) return m->topic.size() + m->bytes.size();
  if (const auto* r = std::get_if<rpc_event>(&e)) return r->method.size() + r->params.size();
  if (const auto* o = std::get_if<earlier_event>(&e)) return o->remote_name.size();
  return 0;
}

answer to_answer(const error& e) {
  switch (e.code()) {
    case errc::rate_limited: return answer::denied;
    case errc::too_large: return answer::toobig;
    case errc::unsupported: return answer::notsup;
    case errc::invalid_argument: return answer::inval;
    case errc::unavailable: return answer::nomem;
    default: return answer::error;
  }
}

/// "name: value" as a header; nothing for what could smuggle in another header.
std::optional<http::header> parse_header(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == 0 || colon == text.npos || has_control_characters(text)) return std::nullopt;
  auto value = std::string_view(text).substr(colon + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  return http::header{text.substr(0, colon), std::string(value)};
}

}  // namespace

bool session::has_room() const noexcept {
  return events_.size() + pending_.size() < max_waiting && event_bytes_ < max_waiting_bytes;
}

void session::push(event e) {
  event_bytes_ += size_of(e);
  events_.push_back(std::move(e));
  if (on_event) on_event();
}

event session::take_event() {
  if (events_.empty()) {  // what is done comes before what is being done
    const auto node = progress_.extract(progress_.begin());
    return node.mapped();
  }
  event e = std::move(events_.front());
  events_.pop_front();
  event_bytes_ -= size_of(e);
  return e;
}

answer session::perform(request r) {
  if (exiting_) return answer::denied;
  return std::visit([&](auto& x) { return (*this)(x); }, r);
}

answer session::operator()(send_state& r) {
  if (!is_topic(r.topic) || !is_utf8(r.bytes)) return answer::inval;
  if (!has_room()) return answer::again;
  if (!ports_.state(r.topic, std::move(r.bytes))) return answer::denied;
  if (const auto old = state_tickets_.find(r.topic); old != state_tickets_.end())
    finish(old->second, reason_overwritten);
  state_tickets_[r.topic] = ++last_ticket_;
  pending_.emplace(last_ticket_, pending{done_event::kind::state, r.back});
  return answer::ok;
}

answer session::operator()(resend_configuration&) {
  wants_configuration_ = true;
  for (auto& [topic, bytes] : ports_.configuration()) configure(topic, std::move(bytes));
  return answer::ok;
}

answer session::operator()(send_telemetry& r) {
  if (r.entries.empty()) return answer::inval;
  std::string payload = "{";
  for (const auto& [key, value] : r.entries) {
    if (!is_topic(key) || !wire::is_json(value)) return answer::inval;
    if (payload.size() > 1) payload += ',';
    payload += wire::json_quote(ports_.instance + "/" + key) + ":" + value;
  }
  payload += '}';
  if (!has_room()) return answer::again;
  const auto ticket = ++last_ticket_;
  pending_.emplace(ticket, pending{done_event::kind::telemetry, r.back});
  const auto accepted = ports_.telemetry(std::move(payload), [weak = weak_from_this(), ticket](bool sent) {
    if (const auto self = weak.lock()) self->finish(ticket, sent ? reason_sent : reason_error);
  });
  if (accepted) return answer::ok;
  if (accepted.error().code() == errc::too_large) {
    pending_.erase(ticket);
    return answer::toobig;
  }
  finish(ticket, reason_denied);
  return answer::ok;
}

answer session::operator()(send_message& r) {
  if (!is_topic(r.topic)) return answer::inval;
  if (!has_room()) return answer::again;
  const bool delivered = ports_.message(r.topic, r.bytes);
  push(done_event{done_event::kind::message, r.back, delivered ? reason_sent : reason_error});
  return answer::ok;
}

answer session::operator()(rpc_answer& r) {
  const auto found = commands_.find(r.id);
  if (!r.response || r.status > 2 || found == commands_.end() || !is_utf8(*r.response)) return answer::inval;
  if (!has_room()) return answer::again;
  auto node = commands_.extract(found);
  wire::command_response out;
  out.reqid = std::move(node.mapped().reqid);
  out.status = wire::command_status(r.status);
  out.response = std::move(*r.response);
  push(done_event{done_event::kind::rpc_response, r.back, reason_sent});
  node.mapped().done(std::move(out));
  return answer::ok;
}

std::uint32_t session::life() {
  if (life_ == 0) life_ = ports_.transfers->begin_life(ports_.instance, weak_from_this());
  return life_;
}

void session::hear(const get_event& poll) {
  if (exiting_) return;
  wants_progress_ = poll.progress;
  for (const auto id : poll.acknowledged) ports_.transfers->acknowledge(life(), id);
  if (!poll.outcomes || std::exchange(wants_outcomes_, true)) return;
  ports_.transfers->want_outcomes(life());
}

void session::start_blob(blob_input r, std::function<void(answer, std::uint64_t)> answered) {
  if (exiting_ || blobs_.size() >= max_blobs || !has_room()) return answered(answer::denied, 0);
  auto order = order_of(r);
  if (!order) return answered(order.error(), 0);
  // The file comes before anything else: nothing is asked of anyone for a path that the module may not use.
  if (const auto why = find_file(r, *order)) {
    refuse_blob(r, why->error);
    return answered(answer::ok, 0);
  }
  const auto ticket = ++last_ticket_;
  blobs_.emplace(ticket, pending_blob{r.form, r.acknowledges, r.back});
  accepting_.emplace(ticket, std::move(answered));
  ports_.transfers->submit(life(), ticket, std::move(*order));
}

tl::expected<blob_order, answer> session::order_of(blob_input& r) const {
  const auto refuse = [](answer a) { return tl::unexpected(a); };
  if (!fits(r.type, r.form) || r.op > 1 || r.priority > 2) return refuse(answer::inval);
  if (r.headers.size() > max_headers || r.remote_name.size() > max_name_bytes ||
      (r.storage_name && r.storage_name->size() > max_topic_bytes))
    return refuse(answer::toobig);
  blob_order order;
  order.instance = ports_.instance;
  order.operation = r.op == 1 ? wire::blob_operation::put : wire::blob_operation::get;
  order.priority = blob_priority(r.priority);
  order.acknowledges = r.acknowledges;
  order.spool = r.spool && r.op == 1;
  order.remote_name = std::move(r.remote_name);
  order.storage_name = std::move(r.storage_name);
  order.url = secret(std::move(r.url));
  if (has_control_characters(order.url.reveal())) return refuse(answer::inval);
  if (order.operation == wire::blob_operation::put) order.fields = implied_headers(r.type);
  for (const auto& text : r.headers) {
    auto h = parse_header(text);
    if (!h) return refuse(answer::inval);
    order.fields.push_back(std::move(*h));
  }
  if (r.form != blob_form::named && order.url.empty()) return refuse(answer::inval);
  return order;
}

std::optional<refused> session::find_file(const blob_input& r, blob_order& order) const {
  auto path = files_.relative(r.filename);
  if (!path) return path.error();
  order.path = std::move(*path);
  if (order.operation == wire::blob_operation::get) {
    const auto target = files_.open_target(r.filename);
    if (!target) return target.error();
    return std::nullopt;
  }
  auto source = files_.open_source(r.filename);
  if (!source) return source.error();
  order.source = std::move(source->fd);
  order.size = source->size;
  order.mtime_ns = source->mtime_ns;
  order.inode = source->inode;
  return std::nullopt;
}

/// As the public agent does: accepted, then an error with the errno value.
void session::refuse_blob(const blob_input& r, int error) {
  push(blob_event{r.form, r.back, blob_done, std::uint32_t(blob_outcome::kind::error), std::uint32_t(error), 0, 0});
}

void session::finish(std::uint64_t ticket, std::uint32_t reason) {
  auto node = pending_.extract(ticket);
  if (!node.empty()) push(done_event{node.mapped().what, node.mapped().back, reason});
}

void session::accepted(std::uint64_t ticket, result<std::uint64_t> id) {
  auto node = accepting_.extract(ticket);
  if (node.empty()) return;
  if (!id) blobs_.erase(ticket);
  node.mapped()(id ? answer::ok : to_answer(id.error()), id.value_or(0));
}

void session::ended(std::uint64_t ticket, std::uint64_t id, blob_outcome o) {
  auto node = blobs_.extract(ticket);
  if (node.empty()) return;
  progress_.erase(id);
  const auto& b = node.mapped();
  push(blob_event{b.form, b.back, blob_done, std::uint32_t(o.result), std::uint32_t(o.error), o.http_status,
                  b.acknowledges ? id : 0});
}

void session::ended_earlier(earlier_outcome o) {
  if (exiting_) return;
  push(earlier_event{o.id, o.operation == wire::blob_operation::put ? 1U : 0U, std::move(o.remote_name),
                     std::uint32_t(o.outcome.result), std::uint32_t(o.outcome.error), o.outcome.http_status});
}

void session::progressed(std::uint64_t id, std::uint64_t moved, std::uint64_t total) {
  if (exiting_ || !wants_progress_) return;
  progress_[id] = {id, moved, total};
  if (on_event) on_event();
}

void session::configure(const std::string& topic, std::string bytes) {
  if (!wants_configuration_ || exiting_ || topic.size() + bytes.size() > max_event_bytes) return;
  // The configuration of a device is bounded as a whole, and one value per topic waits: no bound is needed here.
  for (auto& e : events_) {
    auto* c = std::get_if<configuration_event>(&e);
    if (!c || c->topic != topic) continue;
    event_bytes_ += bytes.size() - c->bytes.size();
    c->bytes = std::move(bytes);
    return;
  }
  push(configuration_event{topic, std::move(bytes)});
}

bool session::deliver(std::string alias, std::string bytes) {
  if (exiting_ || !has_room() || alias.size() + bytes.size() > max_event_bytes) return false;
  push(message_event{std::move(alias), std::move(bytes)});
  return true;
}

result<void> session::command(const wire::command_request& c, std::function<void(wire::command_response)> done) {
  if (exiting_) return fail(errc::not_found, "instance " + c.instance + " is being stopped");
  if (commands_.size() >= max_commands || !has_room())
    return fail(errc::rate_limited,
                "instance " + c.instance + " has too many commands unanswered: wait, then try again");
  if (c.method.size() + c.params.size() > max_event_bytes) return fail(errc::too_large, "the command is too large");
  commands_.emplace(++last_command_, pending_command{c.reqid, std::move(done)});
  push(rpc_event{last_command_, c.method, c.params});
  return {};
}

void session::states_sent() {
  for (const auto& [topic, ticket] : std::exchange(state_tickets_, {})) finish(ticket, reason_sent);
}

void session::exit() {
  if (exiting_) return;
  if (life_ != 0) ports_.transfers->end_life(life_);
  while (!pending_.empty()) finish(pending_.begin()->first, reason_exit);
  for (const auto& [ticket, b] : std::exchange(blobs_, {})) push(blob_event{b.form, b.back, blob_exit, 0, 0, 0, 0});
  // An operation that is just being written is told as accepted: it may be.
  for (const auto& [ticket, answered] : std::exchange(accepting_, {})) answered(answer::ok, 0);
  progress_.clear();
  push(exit_event{});
  exiting_ = true;
}

void session::end() {
  if (life_ != 0 && !exiting_) ports_.transfers->end_life(life_);
  exiting_ = true;
  pending_.clear();
  blobs_.clear();
  progress_.clear();
  accepting_.clear();
  events_.clear();
  event_bytes_ = 0;
  for (auto& [id, c] : std::exchange(commands_, {})) {
    wire::command_response r;
    r.reqid = c.reqid;
    r.status = wire::command_status::error;
    r.error_message = "the module instance ended before it answered";
    c.done(std::move(r));
  }
}

}  // namespace evp::runtime::socket
